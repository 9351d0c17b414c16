use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use litefs_core::database::{Authority, Options, Request};
use litefs_core::drive::{Driver, Recovered};
use litefs_core::sqlite::wal::{ByteOrder, FrameHeader, WalChecksum, WalHeader};
use litefs_core::{
    Checksum, Disk, Errno, File, NodeId, Now, PageNumber, PageSize, PageSums, Planted, Position, View,
};

/// Bytes in a page of all databases here.
pub(crate) const PAGE: usize = 512;

/// The moment everything happens.
pub(crate) const NOW: Now = Now { monotonic_ns: 1_000, wall_ms: 1_700_000_000_000 };

/// A directory in memory that writes down what is done to it, and can be told to refuse something.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<File, Vec<u8>>,
    journal: Vec<String>,
    refuse: Option<(String, Errno)>,
}

impl MemoryDisk {
    /// Everything done since the last call.
    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().journal)
    }

    /// Answers operations whose trace line begins like this with an error from now on.
    pub(crate) fn refuse(&self, beginning: &str, errno: Errno) {
        self.0.borrow_mut().refuse = Some((beginning.to_owned(), errno));
    }

    /// Ends [`Self::refuse`].
    pub(crate) fn refuse_nothing(&self) {
        self.0.borrow_mut().refuse = None;
    }

    /// A copy that lives on by itself.
    pub(crate) fn fork(&self) -> Self {
        let files = self.0.borrow().files.clone();
        Self(Rc::new(RefCell::new(State { files, ..State::default() })))
    }

    /// The content of a file.
    pub(crate) fn content(&self, file: File) -> Option<Vec<u8>> {
        self.0.borrow().files.get(&file).cloned()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn replace(&self, file: File, content: Vec<u8>) {
        self.0.borrow_mut().files.insert(file, content);
    }

    /// All files there are.
    pub(crate) fn files(&self) -> Vec<File> {
        self.0.borrow().files.keys().copied().collect()
    }

    fn done(&self, what: String) -> Result<(), Errno> {
        let mut state = self.0.borrow_mut();
        if let Some((_, errno)) = state.refuse.as_ref().filter(|(beginning, _)| what.starts_with(beginning)) {
            return Err(*errno);
        }
        state.journal.push(what);
        Ok(())
    }
}

impl View for MemoryDisk {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let state = self.0.borrow();
        let content = state.files.get(&file).map_or(&[][..], Vec::as_slice);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        Ok(self.0.borrow().files.get(&file).map(|content| content.len() as u64))
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        let files = self.files();
        Ok(files
            .into_iter()
            .filter_map(|file| if let File::Segment(number) = file { Some(number) } else { None })
            .collect())
    }
}

impl Disk for MemoryDisk {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.done(format!("write {file:?}"))?;
        let mut state = self.0.borrow_mut();
        let content = state.files.entry(file).or_default();
        let end = offset as usize + data.len();
        content.resize(content.len().max(end), 0);
        content[offset as usize..end].copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        self.done(format!("set_len {file:?} {len}"))?;
        self.0.borrow_mut().files.entry(file).or_default().resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self, file: File) -> Result<(), Errno> {
        self.done(format!("sync {file:?}"))
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        self.done(format!("remove {file:?}"))?;
        self.0.borrow_mut().files.remove(&file);
        Ok(())
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        self.done(format!("rename {from:?} {to:?}"))?;
        let mut state = self.0.borrow_mut();
        let content = state.files.remove(&from).ok_or(Errno::ENOENT)?;
        state.files.insert(to, content);
        Ok(())
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        self.done("sync_directory".to_owned())
    }
}

/// What every machine here is told.
pub(crate) fn options() -> Options {
    Options { node_id: NodeId::new(7), compress: false, backlog_max: 8, planted: Planted::default() }
}

/// Opens the database on `disk` as primary.
pub(crate) fn open(disk: &MemoryDisk) -> (Driver<MemoryDisk>, Recovered) {
    let (mut driver, recovered) = Driver::open(disk.clone(), options(), 1 << 20, &|_| false, NOW).unwrap();
    driver.promote().unwrap();
    driver.set_authority(Authority::Forever);
    disk.take_trace();
    (driver, recovered)
}

pub(crate) fn page(number: u32) -> PageNumber {
    PageNumber::new(number).unwrap()
}

/// The first page of a database of `count` pages.
pub(crate) fn first_page(count: u32, wal: bool, change: u32) -> Vec<u8> {
    let mut content = vec![0; PAGE];
    content[..16].copy_from_slice(b"SQLite format 3\0");
    content[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    content[18..20].fill(if wal { 2 } else { 1 });
    content[21..24].copy_from_slice(&[64, 32, 32]);
    content[24..28].copy_from_slice(&change.to_be_bytes());
    content[28..32].copy_from_slice(&count.to_be_bytes());
    content[44..48].copy_from_slice(&4_u32.to_be_bytes());
    content[92..96].copy_from_slice(&change.to_be_bytes());
    content
}

/// A page filled with one byte.
pub(crate) fn filled(byte: u8) -> Vec<u8> {
    vec![byte; PAGE]
}

/// The checksum of a database with these pages.
pub(crate) fn checksum(pages: &[Vec<u8>]) -> Checksum {
    let mut sums = PageSums::default();
    for (number, content) in (1..).zip(pages) {
        sums.set(page(number), Checksum::of_page(page(number), content));
    }
    sums.total()
}

/// A writer in rollback mode: what SQLite does to the files for one transaction in DELETE mode.
pub(crate) fn commit_delete(
    driver: &mut Driver<MemoryDisk>,
    pages: &[(u32, Vec<u8>)],
) -> Result<Position, Errno> {
    driver.request(Request::Create(File::Journal), NOW)?;
    write(driver, File::Journal, 0, &[0xd9; 512])?;
    driver.request(Request::Sync(File::Journal), NOW)?;
    for (number, content) in pages {
        write(driver, File::Database, u64::from(number - 1) * PAGE as u64, content)?;
    }
    driver.request(Request::Sync(File::Database), NOW)?;
    driver.request(Request::Remove(File::Journal), NOW)?;
    Ok(driver.position())
}

pub(crate) fn write(
    driver: &mut Driver<MemoryDisk>,
    file: File,
    offset: u64,
    data: &[u8],
) -> Result<(), Errno> {
    driver.request(Request::Write { file, offset, data }, NOW)
}

/// A writer in WAL mode.
pub(crate) struct WalWriter {
    header: WalHeader,
    chain: WalChecksum,
    end: u64,
}

impl WalWriter {
    /// Begins the WAL.
    pub(crate) fn begin(driver: &mut Driver<MemoryDisk>, salt: u32) -> Self {
        Self::begin_with(driver, [salt, !salt])
    }

    /// Begins the WAL, with these salts.
    pub(crate) fn begin_with(driver: &mut Driver<MemoryDisk>, salt: [u32; 2]) -> Self {
        let header = WalHeader::new(ByteOrder::Little, PageSize::MIN, salt[0], salt);
        driver.request(Request::Create(File::Wal), NOW).unwrap();
        write(driver, File::Wal, 0, &header.encode()).unwrap();
        Self { chain: header.checksum, header, end: 32 }
    }

    /// Begins the WAL from its start again, over what it holds.
    pub(crate) fn begin_over(driver: &mut Driver<MemoryDisk>, salt: u32) -> Self {
        let header = WalHeader::new(ByteOrder::Little, PageSize::MIN, salt, [salt, !salt]);
        write(driver, File::Wal, 0, &header.encode()).unwrap();
        Self { chain: header.checksum, header, end: 32 }
    }

    /// The frame that comes next, and the state after it.
    pub(crate) fn frame(&self, number: u32, commit: u32, content: &[u8]) -> FrameHeader {
        FrameHeader::new(&self.header, self.chain, page(number), commit, content)
    }

    /// Writes a frame as SQLite does: first its header, then its page.
    pub(crate) fn write(
        &mut self,
        driver: &mut Driver<MemoryDisk>,
        number: u32,
        commit: u32,
        content: &[u8],
    ) -> Result<(), Errno> {
        let frame = self.frame(number, commit, content);
        write(driver, File::Wal, self.end, &frame.encode())?;
        write(driver, File::Wal, self.end + 24, content)?;
        self.skip(frame, content);
        Ok(())
    }

    /// Goes on after a frame that was written otherwise.
    pub(crate) fn skip(&mut self, frame: FrameHeader, content: &[u8]) {
        self.chain = frame.checksum;
        self.end += 24 + content.len() as u64;
    }

    /// Where the next frame begins, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

/// SQLite's checkpoint of a page, past the machine as in the kernel's passthrough.
pub(crate) fn checkpoint(disk: &MemoryDisk, number: u32, page: &[u8]) {
    let mut content = disk.content(File::Database).unwrap();
    let at = (number as usize - 1) * PAGE;
    content[at..at + PAGE].copy_from_slice(page);
    disk.replace(File::Database, content);
}

/// A database in WAL mode with two pages, and a WAL that was just begun.
pub(crate) fn wal_database() -> (MemoryDisk, Driver<MemoryDisk>, WalWriter) {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, true, 1)), (2, filled(2))]).unwrap();
    let writer = WalWriter::begin(&mut driver, 100);
    disk.take_trace();
    (disk, driver, writer)
}
