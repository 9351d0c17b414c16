/// How to reach the primary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrimaryInfo {
    /// Its host name, which the mount shows as `.primary`.
    pub hostname: String,
    /// Where its HTTP API is, `http://host:port`.
    pub url: String,
}
