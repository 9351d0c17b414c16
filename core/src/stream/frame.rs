use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::{be32, be64};
use crate::{DatabaseName, InvalidDatabaseName, Txid};

/// One frame of the replication stream: a type (4 bytes, big-endian) and what belongs to it, as LiteFS 0.5 writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// An LTX file of this database follows, as chunks.
    Ltx {
        /// The database.
        database: DatabaseName,
    },
    /// Everything was sent once.
    Ready,
    /// The stream ends.
    End,
    /// The sender does not know the database.
    DropDatabase {
        /// The database.
        database: DatabaseName,
    },
    /// The receiver is to take over this lease.
    Handoff {
        /// Whatever the lease service calls it.
        lease: String,
    },
    /// Everything up to this transaction is safe in a backup.
    HighWater {
        /// The transaction.
        txid: Txid,
        /// The database.
        database: DatabaseName,
    },
    /// Everything up to this time was sent.
    Heartbeat {
        /// The time of the sender in milliseconds since the Unix epoch.
        timestamp_ms: i64,
    },
}

/// Bytes that are not a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// The type is none of the known ones.
    #[error("invalid stream frame type: {0:#04x}")]
    Type(u32),
    /// The length of a name is not that of a name.
    #[error("a name of {found} bytes in a stream frame, at most {max} fit")]
    Length {
        /// The length.
        found: u32,
        /// The longest that is taken.
        max: usize,
    },
    /// A name is not UTF-8.
    #[error("a name in a stream frame is not UTF-8")]
    Encoding,
    /// A name is not that of a database.
    #[error(transparent)]
    Name(#[from] InvalidDatabaseName),
}

impl Frame {
    /// Longest name of a lease that is taken, in bytes.
    pub const MAX_LEASE: usize = 1024;

    const LTX: u32 = 1;
    const READY: u32 = 2;
    const END: u32 = 3;
    const DROP_DATABASE: u32 = 4;
    const HANDOFF: u32 = 5;
    const HIGH_WATER: u32 = 6;
    const HEARTBEAT: u32 = 7;

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, number, name) = match self {
            // The number was to be the size of the file, which is not known beforehand. Receivers ignore it.
            Self::Ltx { database } => (Self::LTX, Some(0), Some(database.as_str())),
            Self::Ready => (Self::READY, None, None),
            Self::End => (Self::END, None, None),
            Self::DropDatabase { database } => (Self::DROP_DATABASE, None, Some(database.as_str())),
            Self::Handoff { lease } => (Self::HANDOFF, None, Some(lease.as_str())),
            Self::HighWater { txid, database } => {
                (Self::HIGH_WATER, Some(txid.get()), Some(database.as_str()))
            }
            Self::Heartbeat { timestamp_ms } => (Self::HEARTBEAT, Some(timestamp_ms.cast_unsigned()), None),
        };
        out.extend_from_slice(&kind.to_be_bytes());
        if let Some(number) = number {
            out.extend_from_slice(&number.to_be_bytes());
        }
        if let Some(name) = name {
            // Names are far shorter than 4 GiB.
            out.extend_from_slice(&(name.len() as u32).to_be_bytes());
            out.extend_from_slice(name.as_bytes());
        }
    }

    /// The frame that `bytes` begin with, and its length. `None` if there are too few of them.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let mut input = Input { bytes, taken: 0 };
        let Some(kind) = input.be32() else { return Ok(None) };
        let frame = match kind {
            Self::READY => Some(Self::Ready),
            Self::END => Some(Self::End),
            Self::LTX => match input.be64() {
                Some(_) => input.database()?.map(|database| Self::Ltx { database }),
                None => None,
            },
            Self::DROP_DATABASE => input.database()?.map(|database| Self::DropDatabase { database }),
            Self::HANDOFF => {
                input.name(Self::MAX_LEASE)?.map(|lease| Self::Handoff { lease: String::from(lease) })
            }
            Self::HIGH_WATER => match input.be64() {
                Some(txid) => {
                    input.database()?.map(|database| Self::HighWater { txid: Txid::new(txid), database })
                }
                None => None,
            },
            Self::HEARTBEAT => {
                input.be64().map(|timestamp| Self::Heartbeat { timestamp_ms: timestamp.cast_signed() })
            }
            kind => return Err(FrameError::Type(kind)),
        };
        Ok(frame.map(|frame| (frame, input.taken)))
    }
}

/// Bytes that are taken from the front. `None` when they do not suffice.
struct Input<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.taken..self.taken.checked_add(len)?)?;
        self.taken += len;
        Some(bytes)
    }

    fn be32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| be32(bytes, 0))
    }

    fn be64(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| be64(bytes, 0))
    }

    /// A length and as many bytes. The length is judged before the bytes are there.
    fn name(&mut self, max: usize) -> Result<Option<&'a str>, FrameError> {
        let Some(found) = self.be32() else { return Ok(None) };
        if found as usize > max {
            return Err(FrameError::Length { found, max });
        }
        match self.take(found as usize) {
            Some(bytes) => core::str::from_utf8(bytes).map(Some).map_err(|_| FrameError::Encoding),
            None => Ok(None),
        }
    }

    fn database(&mut self) -> Result<Option<DatabaseName>, FrameError> {
        match self.name(DatabaseName::MAX_LEN)? {
            Some(name) => Ok(Some(DatabaseName::new(name)?)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DatabaseName {
        DatabaseName::new(text).unwrap()
    }

    fn any_name() -> impl Strategy<Value = DatabaseName> {
        "[a-z \u{e9}.]{1,80}x".prop_map(|text| name(&text))
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            any_name().prop_map(|database| Frame::Ltx { database }),
            Just(Frame::Ready),
            Just(Frame::End),
            any_name().prop_map(|database| Frame::DropDatabase { database }),
            "[ -~]{0,200}".prop_map(|lease| Frame::Handoff { lease }),
            (any::<u64>(), any_name())
                .prop_map(|(txid, database)| Frame::HighWater { txid: Txid::new(txid), database }),
            any::<i64>().prop_map(|timestamp_ms| Frame::Heartbeat { timestamp_ms }),
        ]
    }

    #[test]
    fn frames_are_those_of_a_recorded_stream() {
        let rows: [(&[u8], Frame); 5] = [
            (b"\0\0\0\x04\0\0\0\x07gone.db", Frame::DropDatabase { database: name("gone.db") }),
            (b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x02db", Frame::Ltx { database: name("db") }),
            (
                b"\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\x02db",
                Frame::HighWater { txid: Txid::ZERO, database: name("db") },
            ),
            (b"\0\0\0\x02", Frame::Ready),
            (b"\0\0\0\x07\0\0\x01\xa2\x02\x62\x32\x5c", Frame::Heartbeat { timestamp_ms: 0x01a2_0262_325c }),
        ];
        for (bytes, frame) in rows {
            let mut encoded = Vec::new();
            frame.encode(&mut encoded);
            assert_eq!(encoded, bytes);
            assert_eq!(Frame::decode(bytes), Ok(Some((frame, bytes.len()))));
        }
    }

    #[test]
    fn nonsense_is_refused_as_soon_as_it_shows() {
        let rows: [(&[u8], FrameError); 6] = [
            (b"\0\0\0\x08", FrameError::Type(8)),
            (b"HTTP/1.1 400", FrameError::Type(0x4854_5450)),
            (b"\0\0\0\x04\xff\xff\xff\xff", FrameError::Length { found: u32::MAX, max: 255 }),
            (b"\0\0\0\x05\0\0\x04\x01", FrameError::Length { found: 1025, max: 1024 }),
            (b"\0\0\0\x04\0\0\0\x01\xff", FrameError::Encoding),
            (b"\0\0\0\x04\0\0\0\0", FrameError::Name(InvalidDatabaseName::Empty)),
        ];
        for (bytes, error) in rows {
            assert_eq!(Frame::decode(bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn frame_is_read_once_it_is_complete(frame in any_frame(), rest in prop::collection::vec(any::<u8>(), 0..9)) {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            for len in 0..bytes.len() {
                prop_assert_eq!(Frame::decode(&bytes[..len]), Ok(None));
            }
            let len = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(Frame::decode(&bytes), Ok(Some((frame, len))));
        }
    }
}
