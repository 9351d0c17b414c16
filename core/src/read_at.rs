use crate::Errno;

/// A file that can be read at any place. The core reads the files it governs through this and opens none itself.
pub trait ReadAt {
    /// Reads up to `buf.len()` bytes from byte `offset` on and returns how many. Fewer than asked means that the file
    /// ends there: an implementation goes on after a short read of the operating system.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno>;
}

/// A file in memory.
impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        (**self).read_at(offset, buf)
    }
}

/// Fills all of `buf` from `offset` on. What should be there and is not is an I/O error.
pub(crate) fn read_exact(file: &(impl ReadAt + ?Sized), offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
    if file.read_at(offset, buf)? == buf.len() { Ok(()) } else { Err(Errno::EIO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_reads_short_at_its_end_and_nothing_beyond() {
        let file: &[u8] = b"abcdef";
        let mut buf = [0; 4];
        assert_eq!(file.read_at(4, &mut buf), Ok(2));
        assert_eq!(&buf[..2], b"ef");
        assert_eq!(file.read_at(6, &mut buf), Ok(0));
        assert_eq!(file.read_at(u64::MAX, &mut buf), Ok(0));
    }
}
