use crate::Checksum;
use crate::bytes::be64;

/// The last 16 bytes of an LTX file, which are never compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trailer {
    /// The checksum of the database after the last transaction, [`Checksum::EMPTY`] after a deletion.
    pub post_apply: Checksum,
    /// The checksum of the header, of the page block before it was compressed, and of `post_apply`.
    pub file_checksum: Checksum,
}

impl Trailer {
    /// Bytes of an encoded trailer.
    pub const LEN: usize = 16;

    /// The bytes of the trailer.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&self.post_apply.get().to_be_bytes());
        out[8..].copy_from_slice(&self.file_checksum.get().to_be_bytes());
        out
    }

    /// The trailer in `bytes`. Whether the checksums are right only the rest of the file can tell.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Self {
        Self { post_apply: Checksum::new(be64(bytes, 0)), file_checksum: Checksum::new(be64(bytes, 8)) }
    }

    /// Checks that the checksum of the database can be one after a transaction that left `commit` pages.
    pub(super) fn check_post_apply(post_apply: Checksum, commit: u32) -> Result<(), PostApplyError> {
        if !post_apply.is_flagged() {
            return Err(PostApplyError::Format { found: post_apply });
        }
        if commit == 0 && post_apply != Checksum::EMPTY {
            return Err(PostApplyError::Deleted { found: post_apply });
        }
        Ok(())
    }
}

/// Why a number cannot be the checksum of the database after a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PostApplyError {
    /// It is not a checksum.
    #[error("post-apply checksum {found} is not one: the highest bit must be set")]
    Format {
        /// The number.
        found: Checksum,
    },
    /// The database was deleted but the checksum is that of a database with pages.
    #[error("post-apply checksum {found} of a deleted database, expected {expected}", expected = Checksum::EMPTY)]
    Deleted {
        /// The checksum.
        found: Checksum,
    },
}
