use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// Where a server listens: `HOST:PORT`, or `:PORT` for every address of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenAddress {
    /// Name or address without brackets; none is every address.
    host: Option<String>,
    port: u16,
}

impl ListenAddress {
    /// Every address of this machine, at this port.
    pub const fn every(port: u16) -> Self {
        Self { host: None, port }
    }

    /// The port, 0 if the system is to choose one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The addresses to try in turn until one can be bound.
    ///
    /// Every address of the machine is `[::]`, which also takes IPv4, and `0.0.0.0` where IPv6 is switched off.
    pub fn socket_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            None => Ok(vec![([0_u16; 8], self.port).into(), ([0_u8; 4], self.port).into()]),
            Some(host) => Ok((host.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            None => write!(f, ":{port}"),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(host) => write!(f, "{host}:{port}"),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        let invalid = || InvalidListenAddress { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) if !host.is_empty() && !host.contains(['[', ']', '/']) => host,
            Some(_) => return Err(invalid()),
            None if host.contains([':', '[', ']', '/']) => return Err(invalid()),
            None => host,
        };
        Ok(Self { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A text that says not where to listen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid address {text:?}: expected \":PORT\", \"HOST:PORT\" or \"[IPV6]:PORT\", such as \":20202\"")]
pub struct InvalidListenAddress {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for text in [":20202", "localhost:20202", "127.0.0.1:0", "[::1]:20202"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn address_without_host_listens_everywhere() {
        let address: ListenAddress = ":20202".parse().unwrap();
        let sockets: Vec<_> = address.socket_addresses().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(sockets, ["[::]:20202", "0.0.0.0:20202"]);
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in [
            "",
            "20202",
            ":http",
            "localhost",
            "::1:20202",
            "[]:1",
            "[::1]]:1",
            "http://localhost:20202",
            ":65536",
        ] {
            let expected = InvalidListenAddress { text: text.to_owned() };
            assert_eq!(text.parse::<ListenAddress>(), Err(expected), "{text}");
        }
    }
}
