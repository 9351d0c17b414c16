//! The replication stream between a primary and its replicas: its bytes, what to send, and what to do with what arrives.
//!
//! A replica announces its positions ([`encode_position_map`]); the primary answers with [`Frame`]s without end, LTX
//! files in [chunks](encode_chunks) between them.

mod chunk;
mod frame;
mod position_map;
mod receiver;
mod rotation;
mod sender;

pub use chunk::{Chunk, ChunkReader, MAX_CHUNK, encode_chunks, encode_chunks_end};
pub use frame::{Frame, FrameError};
pub use position_map::{PositionMapError, PositionMapReader, encode_position_map};
pub use receiver::{Admission, PositionMismatch, Receiver, Unappliable};
pub use sender::{Action, Sender};
