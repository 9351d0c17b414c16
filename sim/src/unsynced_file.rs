use crate::content::Content;
use crate::rng::Rng;

/// Bytes that a disk writes completely or not at all.
pub(crate) const SECTOR: u64 = 512;

/// A file whose latest changes are not on the platter yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnsyncedFile {
    /// What programs read.
    current: Content,
    /// What certainly survives a loss of power.
    durable: Content,
    /// What leads from the one to the other.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    /// The length, and the number of this change among all changes of metadata on the disk.
    SetLen(u64, u64),
}

/// How much of the unsynced changes a loss of power spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mercy {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// Everything up to some moment; the write in progress then is torn.
    Prefix,
    /// Any of them, in whole or in part.
    Scattered,
}

impl Mercy {
    /// One of them, each as likely.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        rng.pick(&[Self::None, Self::All, Self::Prefix, Self::Scattered, Self::Scattered])
    }
}

impl UnsyncedFile {
    /// What programs read.
    pub(crate) fn current(&self) -> &Content {
        &self.current
    }

    /// A write that is not durable yet.
    pub(crate) fn write_at(&mut self, offset: u64, data: &[u8]) {
        self.current.write_at(offset, data);
        self.unsynced.push(Change::Write { offset, data: data.to_vec() });
    }

    /// A change of the length that is not durable yet: change number `sequence` of metadata.
    pub(crate) fn set_len(&mut self, len: u64, sequence: u64) {
        self.current.set_len(len);
        self.unsynced.push(Change::SetLen(len, sequence));
    }

    /// Makes everything durable that can still become so.
    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// What a kernel does after a failed `fsync`: the pages count as clean though they never reached the platter. They can
    /// be read until power is lost, and no later sync writes them.
    pub(crate) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// Keeps what `mercy` says of the unsynced changes. With `journaled`, changes of metadata up to that one are kept and
    /// later ones are not, whatever `mercy` says.
    pub(crate) fn lose_power(&mut self, mercy: Mercy, journaled: Option<u64>, rng: &mut Rng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let prefix = rng.index(unsynced.len() + 1);
        for (at, change) in unsynced.iter().enumerate() {
            let kept = match mercy {
                Mercy::None => Kept::Nothing,
                Mercy::All => Kept::All,
                Mercy::Prefix if at < prefix => Kept::All,
                Mercy::Prefix if at == prefix => Kept::Part,
                Mercy::Prefix => Kept::Nothing,
                Mercy::Scattered => rng.pick(&[Kept::All, Kept::Part, Kept::Nothing]),
            };
            match (change, journaled) {
                (Change::SetLen(_, sequence), Some(last)) if *sequence <= last => {
                    change.apply(&mut self.durable)
                }
                (Change::SetLen(..), None) if kept == Kept::All => change.apply(&mut self.durable),
                // Blocks written after a change of the length that is lost belong to a file that never was.
                (Change::SetLen(..), _) => break,
                (Change::Write { .. }, _) => match kept {
                    Kept::All => change.apply(&mut self.durable),
                    Kept::Part => change.apply_torn(&mut self.durable, rng),
                    Kept::Nothing => {}
                },
            }
        }
        self.current = self.durable.clone();
    }
}

/// How much of one change is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    All,
    Part,
    Nothing,
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write { offset, data } => content.write_at(*offset, data),
            Self::SetLen(len, _) => content.set_len(*len),
        }
    }

    /// Applies some sectors of a write: its beginning, or any of them.
    fn apply_torn(&self, content: &mut Content, rng: &mut Rng) {
        let Self::Write { offset, data } = self else { return };
        let end = offset + data.len() as u64;
        let sectors = end.div_ceil(SECTOR) - offset / SECTOR;
        let prefix = rng.percent(50).then(|| rng.below(sectors));
        for sector in 0..sectors {
            if prefix.map_or_else(|| rng.percent(50), |kept| sector < kept) {
                let from = ((offset / SECTOR + sector) * SECTOR).max(*offset);
                let to = ((offset / SECTOR + sector + 1) * SECTOR).min(end);
                let range = |at: u64| usize::try_from(at - offset).unwrap_or(data.len());
                content.write_at(from, &data[range(from)..range(to)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(file: &UnsyncedFile) -> Vec<u8> {
        let mut buf = vec![0; usize::try_from(file.current().len()).unwrap()];
        file.current().read_at(0, &mut buf);
        buf
    }

    fn synced_then_written() -> UnsyncedFile {
        let mut file = UnsyncedFile::default();
        file.write_at(0, &[1; 2048]);
        file.sync();
        file.write_at(512, &[2; 1024]);
        file.set_len(4096, 1);
        file
    }

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_may_not() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            let mut file = synced_then_written();
            let mut rng = Rng::new(seed);
            file.lose_power(Mercy::draw(&mut rng), None, &mut rng);
            let left = bytes(&file);
            assert_eq!(left[..512], [1; 512]);
            assert_eq!(left[1536..2048], [1; 512]);
            assert!(left[512..1536].chunks(512).all(|sector| sector == [1; 512] || sector == [2; 512]));
            seen.insert((left[512], left[1024], left.len()));
        }
        let all: Vec<_> = [1, 2]
            .into_iter()
            .flat_map(|a| [1, 2].into_iter().flat_map(move |b| [(a, b, 2048), (a, b, 4096)]))
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn what_a_failed_sync_forgot_is_readable_and_never_becomes_durable() {
        let mut file = synced_then_written();
        file.forget_unsynced();
        assert_eq!(bytes(&file)[512], 2);
        file.sync();
        file.lose_power(Mercy::All, None, &mut Rng::new(1));
        assert_eq!(bytes(&file), [1; 2048]);
    }

    #[test]
    fn journaled_metadata_is_kept_up_to_one_change_and_no_further() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let mut file = UnsyncedFile::default();
            file.write_at(0, &[1; 2048]);
            file.sync();
            file.set_len(1024, 7);
            file.set_len(512, 8);
            file.write_at(512, &[2; 512]);
            file.lose_power(Mercy::draw(&mut rng), Some(7), &mut rng);
            assert_eq!(bytes(&file), [1; 1024]);
        }
    }
}
