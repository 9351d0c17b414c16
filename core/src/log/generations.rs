use alloc::collections::VecDeque;

/// The generations of the WAL, by their salts, in the order in which the log has transactions from them.
///
/// A WAL is begun again at its start, with other salts. Where that could not be written to the disk, a loss of power
/// brings the old header back, and with it all the old transactions, which look as if nobody had them yet.
#[derive(Debug, Default)]
pub(super) struct Generations {
    latest: Option<[u32; 2]>,
    /// The newest is last.
    superseded: VecDeque<[u32; 2]>,
}

/// More cannot come back: each that was superseded has overwritten at least the one before it.
const KEPT: usize = 64;

impl Generations {
    /// The log has something from this generation.
    pub(super) fn follow(&mut self, salt: [u32; 2]) {
        if self.latest == Some(salt) {
            return;
        }
        if let Some(before) = self.latest.replace(salt) {
            self.superseded.push_back(before);
        }
        if self.superseded.len() > KEPT {
            self.superseded.pop_front();
        }
    }

    /// Whether the log went on to another generation after this one.
    pub(super) fn is_superseded(&self, salt: [u32; 2]) -> bool {
        self.latest != Some(salt) && self.superseded.contains(&salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_is_superseded_by_the_next_and_an_unknown_one_is_not() {
        let mut generations = Generations::default();
        for number in [1, 1, 2, 3] {
            generations.follow([number, 0]);
        }
        let superseded = [1, 2, 3, 4].map(|number| generations.is_superseded([number, 0]));
        assert_eq!(superseded, [true, true, false, false]);
        generations.follow([1, 0]);
        assert!(!generations.is_superseded([1, 0]), "it is written again");
        for number in 10..1000 {
            generations.follow([number, 0]);
        }
        assert!(generations.superseded.len() <= KEPT);
    }
}
