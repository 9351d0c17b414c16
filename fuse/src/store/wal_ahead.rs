use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use litefs_core::File;
use litefs_core::database::Request;

/// How far the kernel has the pages of the WAL whole in its cache.
///
/// It sends what is written to a page of which it has only a part as a request of its own. So a frame would take three:
/// its header, and its content in two parts, because it lies across two pages. Where the kernel has read the pages
/// before they are written, the content takes one. To be read they must be in the file, so the file is extended first,
/// well before the frames get there.
///
/// A small WAL is left alone: it would be gone before that paid.
#[derive(Debug, Default)]
pub(super) struct WalAhead {
    /// Where the furthest write to the file ended, in bytes.
    written: AtomicU64,
    /// The pages before this are whole, in bytes.
    whole: AtomicU64,
}

/// Bytes from which on a WAL is not small.
const START: u64 = 256 << 10;
/// The file is extended by as much as was written to it, and at most by this.
const STEP_MAX: u64 = 4 << 20;

impl WalAhead {
    /// Notes a request that succeeded.
    pub(super) fn note(&self, request: &Request<'_>) {
        match *request {
            Request::Write { file: File::Wal, offset, data } => {
                self.written.fetch_max(offset + data.len() as u64, Ordering::Relaxed);
            }
            Request::SetLen { file: File::Wal, len } => {
                self.written.fetch_min(len, Ordering::Relaxed);
                self.whole.fetch_min(len, Ordering::Relaxed);
            }
            Request::Create(File::Wal) | Request::Remove(File::Wal) => {
                self.written.store(0, Ordering::Relaxed);
                self.whole.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// What is to be read, after extending the file to its end: frames come close to the end of the whole pages.
    pub(super) fn due(&self) -> Option<Range<u64>> {
        let (written, whole) = (self.written.load(Ordering::Relaxed), self.whole.load(Ordering::Relaxed));
        let step = written.clamp(START, STEP_MAX);
        let is_due = written >= START && written + step / 2 > whole;
        is_due.then(|| whole..(written + step).next_multiple_of(START))
    }

    /// What was due has been tried, and is not due again, unless the file was cut meanwhile.
    pub(super) fn done(&self, range: &Range<u64>) {
        let (from, to) = (range.start, range.end);
        let _ = self.whole.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(ahead: &WalAhead, end: u64) {
        ahead.note(&Request::Write { file: File::Wal, offset: end - 1, data: &[0] });
    }

    #[test]
    fn small_wal_is_left_alone_and_a_large_one_kept_ahead_of() {
        let ahead = WalAhead::default();
        write(&ahead, START - 1);
        assert_eq!(ahead.due(), None);
        write(&ahead, START);
        let first = ahead.due().unwrap();
        assert_eq!(first, 0..2 * START);
        ahead.done(&first);
        assert_eq!(ahead.due(), None);
        write(&ahead, 100 << 20);
        assert_eq!(ahead.due(), Some(2 * START..104 << 20));
        ahead.note(&Request::Write { file: File::Wal, offset: 0, data: &[0; 32] });
        assert_eq!(ahead.due(), Some(2 * START..104 << 20), "begun again, the file stays as long as it is");
    }

    #[test]
    fn file_that_was_cut_has_to_grow_again() {
        let ahead = WalAhead::default();
        for end in [START, 8 * START] {
            write(&ahead, end);
            let due = ahead.due().unwrap();
            if end == 8 * START {
                ahead.note(&Request::SetLen { file: File::Wal, len: 0 });
            }
            ahead.done(&due);
            assert_eq!(ahead.due(), None);
        }
        write(&ahead, START);
        assert_eq!(ahead.due(), Some(0..2 * START));
    }
}
