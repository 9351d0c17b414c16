use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes in a block.
const BLOCK: u64 = 4096;

/// The bytes of a file: sparse, and cheap to copy because copies share their blocks until one changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    len: u64,
    /// By block number. A missing block is zeros.
    blocks: BTreeMap<u64, Rc<[u8; BLOCK as usize]>>,
}

impl Content {
    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads up to `buf.len()` bytes at `offset`; fewer at the end of the file.
    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(buf.len());
        for_each_block(offset, count, |block, within, range| {
            let part = &mut buf[range];
            match self.blocks.get(&block) {
                Some(bytes) => part.copy_from_slice(&bytes[within..within + part.len()]),
                None => part.fill(0),
            }
        });
        count
    }

    /// Writes all of `data` at `offset`, growing the file to hold it.
    pub(crate) fn write_at(&mut self, offset: u64, data: &[u8]) {
        for_each_block(offset, data.len(), |block, within, range| {
            let bytes = self.blocks.entry(block).or_insert_with(|| Rc::new([0; BLOCK as usize]));
            let part = &data[range];
            Rc::make_mut(bytes)[within..within + part.len()].copy_from_slice(part);
        });
        self.len = self.len.max(offset + data.len() as u64);
    }

    /// Cuts or extends the file; what is added reads as zeros.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK));
            let within = usize::try_from(len % BLOCK).unwrap_or(0);
            if within > 0
                && let Some(bytes) = self.blocks.get_mut(&(len / BLOCK))
            {
                Rc::make_mut(bytes)[within..].fill(0);
            }
        }
        self.len = len;
    }
}

/// Calls `visit` with each block that `count` bytes at `offset` touch, where in it they begin, and which they are.
fn for_each_block(offset: u64, count: usize, mut visit: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < count {
        let at = offset + done as u64;
        let within = usize::try_from(at % BLOCK).unwrap_or(0);
        let part = (BLOCK as usize - within).min(count - done);
        visit(at / BLOCK, within, done..done + part);
        done += part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn content_behaves_like_a_vector_of_bytes() {
        let mut rng = Rng::new(1);
        let mut content = Content::default();
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..2000 {
            let offset = rng.below(20_000);
            let start = usize::try_from(offset).unwrap();
            match rng.below(4) {
                0 | 1 => {
                    let mut data = vec![0; rng.index(9000) + 1];
                    rng.fill(&mut data);
                    content.write_at(offset, &data);
                    model.resize(model.len().max(start + data.len()), 0);
                    model[start..start + data.len()].copy_from_slice(&data);
                }
                2 => {
                    content.set_len(offset);
                    model.resize(start, 0);
                }
                _ => {
                    let mut buf = vec![1; rng.index(9000)];
                    let count = content.read_at(offset, &mut buf);
                    let rest = model.get(start..).unwrap_or_default();
                    assert_eq!(&buf[..count], &rest[..rest.len().min(buf.len())]);
                }
            }
            assert_eq!(content.len(), model.len() as u64);
        }
    }

    #[test]
    fn copy_does_not_change_with_its_original() {
        let mut content = Content::default();
        content.write_at(5 << 30, b"before");
        let copy = content.clone();
        content.write_at(5 << 30, b"after!");
        let mut buf = [0; 8];
        assert_eq!(copy.read_at(5 << 30, &mut buf), 6);
        assert_eq!(&buf[..6], b"before");
    }
}
