use alloc::vec::Vec;

use super::{DecodeError, Fault};

/// Bytes that arrive at one end and are read at the other.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// How many of `bytes` were read.
    read: usize,
    /// Bytes read before those in `bytes`.
    before: u64,
}

impl Input {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.grow().extend_from_slice(bytes);
    }

    /// The buffer to append to.
    pub(super) fn grow(&mut self) -> &mut Vec<u8> {
        self.before += self.read as u64;
        self.bytes.drain(..self.read);
        self.read = 0;
        &mut self.bytes
    }

    /// What has arrived and was not read.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// Reads `len` bytes, which the caller has seen in [`Input::unread`].
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.read;
        self.read += len;
        &self.bytes[start..self.read]
    }

    /// An error at the first byte not read.
    pub(super) fn fault(&self, fault: Fault) -> DecodeError {
        DecodeError { offset: self.before + self.read as u64, fault }
    }

    /// An error after the last byte that arrived.
    pub(super) fn end_fault(&self, fault: Fault) -> DecodeError {
        DecodeError { offset: self.before + self.bytes.len() as u64, fault }
    }
}
