//! Streams recorded between nodes of LiteFS 0.5.

/// A replica at transaction 1 of `db` that also has `gone.db`.
pub(crate) fn incremental_request() -> Vec<u8> {
    bytes(include_str!("incremental-request.hex"))
}

/// What its primary, at transaction 2 of `db`, answers.
pub(crate) fn incremental_reply() -> Vec<u8> {
    bytes(include_str!("incremental-reply.hex"))
}

/// What the primary answers to a replica that has nothing.
pub(crate) fn snapshot_reply() -> Vec<u8> {
    bytes(include_str!("snapshot-reply.hex"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
