use std::cell::{RefCell, UnsafeCell};
use std::fmt;

/// Bytes in a region of the wal-index.
pub(crate) const REGION: usize = 32 * 1024;

/// Bytes of the two copies of the header (SQLite's WAL-mode file format 2.1).
const HEADERS: usize = 96;

type Region = UnsafeCell<[u64; REGION / 8]>;

/// The shared memory of a database's wal-index. It lives as long as somebody has it mapped.
#[derive(Default)]
pub(crate) struct Shm {
    regions: RefCell<Vec<Box<Region>>>,
}

/// What a [`Shm`] held at some moment.
#[derive(Debug)]
pub(crate) struct ShmContent(Vec<Box<[u64; REGION / 8]>>);

impl fmt::Debug for Shm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shm({} regions)", self.regions.borrow().len())
    }
}

impl Shm {
    /// The address of a region, null if it does not exist and must not be made. It stays valid as long as `self`.
    pub(crate) fn region(&self, index: usize, extend: bool) -> *mut u64 {
        let mut regions = self.regions.borrow_mut();
        if extend {
            while regions.len() <= index {
                regions.push(Box::new(UnsafeCell::new([0; REGION / 8])));
            }
        }
        regions.get(index).map_or(std::ptr::null_mut(), |region| region.get().cast())
    }

    /// How many regions there are.
    pub(crate) fn regions(&self) -> usize {
        self.regions.borrow().len()
    }

    /// Makes at least so many regions; true if that needed more.
    pub(crate) fn grow(&self, regions: usize) -> bool {
        let before = self.regions();
        if let Some(last) = regions.checked_sub(1) {
            self.region(last, true);
        }
        self.regions() > before
    }

    /// Has exactly so many regions from now on. Nobody has those mapped that go.
    pub(crate) fn set_regions(&self, regions: usize) {
        self.grow(regions);
        self.regions.borrow_mut().truncate(regions);
    }

    /// Reads bytes from `offset`, as far as there are any.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            *byte = self.byte(at).map_or(0, |place| {
                // SAFETY: the place is inside of a region, and nothing else runs on this thread meanwhile.
                unsafe { *place }
            });
        }
    }

    /// As the `read_at` of a file.
    pub(crate) fn read_from(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = bytes.len().min((self.regions() * REGION).saturating_sub(start));
        self.read(start, &mut bytes[..len]);
        len
    }

    /// Writes bytes at `offset`, as far as there are regions.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            if let Some(place) = self.byte(at) {
                // SAFETY: as in `read`.
                unsafe { *place = *byte };
            }
        }
    }

    fn byte(&self, offset: usize) -> Option<*mut u8> {
        let region = self.region(offset / REGION, false).cast::<u8>();
        // SAFETY: a region has `REGION` bytes, and the remainder is less.
        (!region.is_null()).then(|| unsafe { region.add(offset % REGION) })
    }

    /// What it holds now.
    pub(crate) fn content(&self) -> ShmContent {
        // SAFETY: SQLite's statements run on this thread and none of them uses the regions while this runs.
        ShmContent(self.regions.borrow().iter().map(|region| Box::new(unsafe { *region.get() })).collect())
    }

    /// Takes back everything that was done to it since it held `content`.
    pub(crate) fn restore(&self, content: ShmContent) {
        let mut regions = self.regions.borrow_mut();
        // The memory of regions that were added stays: whoever added them has their addresses.
        let zeros = std::iter::repeat_with(|| Box::new([0; REGION / 8]));
        for (region, content) in regions.iter_mut().zip(content.0.into_iter().chain(zeros)) {
            *region.get_mut() = *content;
        }
    }

    /// Makes both copies of the header invalid, so that the next reader rebuilds the wal-index.
    pub(crate) fn invalidate(&self) {
        if let Some(region) = self.regions.borrow().first() {
            // SAFETY: SQLite's statements run on this thread and none of them runs now, so nothing else uses the region.
            let words = unsafe { &mut *region.get() };
            words[..HEADERS / 8].fill(0);
        }
    }
}
