use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The port of HTTP where none is written.
const HTTP_PORT: u16 = 80;

/// Where the API of a node is: `http://host:port`. Path and query of the text it is read from are ignored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    host: String,
    port: u16,
}

/// A text that is not the URL of a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUrl {
    /// The text cannot be read as a URL.
    #[error("invalid URL {url:?}: {reason}")]
    Syntax {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The scheme is not one that nodes speak.
    #[error("invalid URL scheme in {url:?}: nodes speak http, without TLS; write http://host:port")]
    Scheme {
        /// The text.
        url: String,
    },
    /// There is no host.
    #[error("URL host required in {url:?}: write http://host:port")]
    Host {
        /// The text.
        url: String,
    },
}

impl BaseUrl {
    /// The host without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What to connect to, `host:port`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = || text.to_owned();
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| InvalidUrl::Syntax {
            url: url(),
            reason: error.to_string(),
        })?;
        if uri.scheme_str() != Some("http") {
            return Err(InvalidUrl::Scheme { url: url() });
        }
        let (Some(host), Some(authority)) = (uri.host().filter(|host| !host.is_empty()), uri.authority())
        else {
            return Err(InvalidUrl::Host { url: url() });
        };
        let after_host = authority.as_str().rsplit('@').next().and_then(|text| text.strip_prefix(host));
        let port = match after_host.unwrap_or_default() {
            "" => HTTP_PORT,
            port => match port.strip_prefix(':').map(str::parse) {
                Some(Ok(port)) => port,
                _ => {
                    return Err(InvalidUrl::Syntax {
                        url: url(),
                        reason: "no port from 0 to 65535".to_owned(),
                    });
                }
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_host_and_port_whatever_follows_them() {
        let rows = [
            ("http://localhost:20202", "http://localhost:20202"),
            ("http://a.example/path?x=y", "http://a.example:80"),
            ("http://[::1]:20202/", "http://[::1]:20202"),
        ];
        for (text, url) in rows {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn url_that_nodes_cannot_speak_is_refused() {
        for text in ["https://a:1", "localhost:20202", "ftp://a", "/path"] {
            assert!(matches!(text.parse::<BaseUrl>(), Err(InvalidUrl::Scheme { .. })), "{text}");
        }
        for text in ["", "http://", "http://a:99999999", "http://a b"] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }
}
