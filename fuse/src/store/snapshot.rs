use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use litefs_core::drive::Preserve;
use litefs_core::sqlite::wal::FRAME_HEADER_LEN;
use litefs_core::{Checksum, NodeId, PageNumber, PageSize, PageSums, Position, Txid, ltx};

/// Bytes that are produced at a time.
const CHUNK: usize = 256 * 1024;

/// The pages of a database as they were at one position, readable while the database goes on.
///
/// It takes no lock. Pages that change before they were read are kept aside, in a file without a name.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) position: Position,
    pub(super) page_size: PageSize,
    pub(super) sums: PageSums,
    /// The frames of the WAL that held pages at that time, by offset in bytes.
    pub(super) frames: BTreeMap<PageNumber, u64>,
    pub(super) database: Arc<fs::File>,
    pub(super) wal: Option<Arc<fs::File>>,
    pub(super) kept: Arc<KeptPages>,
}

/// Pages that changed before they were read.
#[derive(Debug)]
pub(super) struct KeptPages(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// The last page that was read, and the last page of the image.
    read: u32,
    page_count: u32,
    page_len: usize,
    file: fs::File,
    /// Where pages are in the file, by their place in it.
    places: BTreeMap<PageNumber, u64>,
    /// A page could not be kept.
    failed: bool,
}

impl KeptPages {
    /// Nothing kept yet, in a file without a name.
    pub(super) fn new(file: fs::File, page_count: u32, page_size: PageSize) -> Self {
        let places = BTreeMap::new();
        Self(Mutex::new(Kept {
            read: 0,
            page_count,
            page_len: page_size.bytes(),
            file,
            places,
            failed: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, page: PageNumber, content: &mut [u8]) -> io::Result<bool> {
        let kept = self.state();
        let Some(place) = kept.places.get(&page) else { return Ok(false) };
        kept.file.read_exact_at(content, place * content.len() as u64)?;
        Ok(true)
    }
}

impl Preserve for KeptPages {
    fn wants(&self, page: PageNumber) -> bool {
        let kept = self.state();
        page.get() > kept.read
            && page.get() <= kept.page_count
            && !kept.failed
            && !kept.places.contains_key(&page)
    }

    fn keep(&self, page: PageNumber, content: &[u8]) {
        let mut kept = self.state();
        let place = kept.places.len() as u64;
        // A snapshot that fails is asked for again; the writer must not suffer for it.
        match kept.file.write_all_at(content, place * kept.page_len as u64) {
            Ok(()) => drop(kept.places.insert(page, place)),
            Err(_) => kept.failed = true,
        }
    }
}

impl Image {
    /// Reads a page. Pages are read in ascending order.
    fn page(&self, page: PageNumber, content: &mut [u8]) -> io::Result<()> {
        let expected = self.sums.get(page);
        // A page that a LiteFS primary left out of its transactions has no checksum, and is zeros.
        let is_expected = |content: &[u8]| match expected {
            Checksum::ZERO => content.iter().all(|byte| *byte == 0),
            expected => Checksum::of_page(page, content) == expected,
        };
        if let (Some(frame), Some(wal)) = (self.frames.get(&page), &self.wal) {
            let whole = wal.read_exact_at(content, frame + FRAME_HEADER_LEN as u64).is_ok();
            if whole && is_expected(content) {
                return self.done(page);
            }
        }
        if !self.kept.load(page, content)? {
            read_or_zero(&self.database, content, self.page_size.offset_of(page))?;
            if is_expected(content) {
                return self.done(page);
            }
            // It may have changed between the two looks, and then it was kept.
            self.kept.load(page, content)?;
        }
        if !is_expected(content) {
            return Err(io::Error::other(format!("page {page} is not what it was at {}", self.position)));
        }
        self.done(page)
    }

    fn done(&self, page: PageNumber) -> io::Result<()> {
        self.kept.state().read = page.get();
        Ok(())
    }

    fn page_count(&self) -> u32 {
        self.sums.page_count()
    }
}

/// A snapshot as an LTX file.
#[derive(Debug)]
pub struct SnapshotReader {
    image: Image,
    encoder: ltx::Encoder,
    next: u32,
    page: Vec<u8>,
    /// Bytes of the encoder's output that were read.
    taken: usize,
    finished: bool,
}

impl SnapshotReader {
    pub(super) fn new(
        image: Image,
        compressed: bool,
        node_id: NodeId,
        timestamp_ms: i64,
    ) -> io::Result<Self> {
        let header = ltx::Header {
            compressed,
            page_size: image.page_size,
            commit: image.page_count(),
            min_txid: Txid::new(1),
            max_txid: image.position.txid,
            timestamp_ms,
            pre_apply: Checksum::ZERO,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id,
        };
        let page = vec![0; image.page_size.bytes()];
        let encoder = ltx::Encoder::new(header).map_err(io::Error::other)?;
        Ok(Self { image, encoder, next: 1, page, taken: 0, finished: false })
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.image.position
    }

    fn fill(&mut self) -> io::Result<()> {
        self.encoder.output().clear();
        self.taken = 0;
        while self.encoder.output().len() < CHUNK && !self.finished {
            if self.next > self.image.page_count() {
                self.encoder.finish(self.image.sums.total()).map_err(io::Error::other)?;
                self.finished = true;
                break;
            }
            if let Some(page) =
                PageNumber::new(self.next).filter(|page| *page != self.image.page_size.lock_page())
            {
                self.image.page(page, &mut self.page)?;
                self.encoder.page(page, &self.page).map_err(io::Error::other)?;
            }
            self.next += 1;
        }
        Ok(())
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.encoder.output().len() {
            if self.finished {
                return Ok(0);
            }
            self.fill()?;
        }
        let from = self.taken;
        let rest = &self.encoder.output()[from..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}

/// A snapshot as a database file.
#[derive(Debug)]
pub struct ExportReader {
    image: Image,
    next: u32,
    page: Vec<u8>,
    taken: usize,
}

impl ExportReader {
    pub(super) fn new(image: Image) -> Self {
        let page = vec![0; image.page_size.bytes()];
        let taken = page.len();
        Self { image, next: 1, page, taken }
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.image.position
    }

    /// Bytes of the database file.
    pub fn len(&self) -> u64 {
        u64::from(self.image.page_size.get()) * u64::from(self.image.page_count())
    }

    /// Whether there is nothing to export.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Read for ExportReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.page.len() {
            if self.next > self.image.page_count() {
                return Ok(0);
            }
            match PageNumber::new(self.next).filter(|page| *page != self.image.page_size.lock_page()) {
                Some(page) => self.image.page(page, &mut self.page)?,
                None => self.page.fill(0),
            }
            self.next += 1;
            self.taken = 0;
        }
        let rest = &self.page[self.taken..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}

/// Fills `content` from `offset`, with zeros where the file ends.
fn read_or_zero(file: &fs::File, content: &mut [u8], offset: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < content.len() {
        match file.read_at(&mut content[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    content[filled..].fill(0);
    Ok(())
}
