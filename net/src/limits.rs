use std::time::Duration;

/// What peers may cost this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections at a time. Further ones wait to be accepted.
    pub connections: usize,
    /// Bytes in the header of a request.
    pub header_bytes: u32,
    /// How long a peer may take to send the header of a request, and the position map of a stream.
    pub header_timeout: Duration,
    /// Bytes in the position map of a stream: 16 MiB are more than 50,000 databases with the longest names.
    pub position_map_bytes: usize,
    /// How long a peer may leave what it is sent unread, or send nothing while it uploads, before it is dropped.
    pub stall_timeout: Duration,
    /// How long the snapshot of one database to one peer may take. It also bounds how long other databases of that peer
    /// wait for it.
    pub snapshot_timeout: Duration,
    /// How long requests may go on after the server was told to stop.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_bytes: 64 << 10,
            header_timeout: Duration::from_secs(10),
            position_map_bytes: 16 << 20,
            stall_timeout: Duration::from_secs(30),
            snapshot_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(2),
        }
    }
}
