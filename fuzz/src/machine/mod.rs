//! Programs, peers, the daemon and the machine's power, as the input says, on one database.

mod content;
mod node;
mod script;
mod transfer;
mod wal_writer;

use litefs_core::database::Request;
use litefs_core::log::Retention;
use litefs_core::{Disk, File, PageNumber, PageSize, View};

use node::{NOW, Node};
use script::Script;
use transfer::Transfer;
use wal_writer::WalWriter;

/// Most steps of a run.
const MAX_STEPS: usize = 200;

/// What is done to a database, step by step. The first byte says how large pages are (bits 0 and 1) and whether LTX
/// files are compressed (bit 2). Each step is a byte and what it needs, see [`Run::step`].
///
/// After each step the checksum of the position is that of the content, unless the machine says that the content is
/// being changed. After each crash the database is at least where it was durable.
pub fn machine(data: &[u8]) {
    let mut script = Script::new(data);
    let Some(control) = script.next() else { return };
    let Ok(page_size) = PageSize::new(512 << (control & 3)) else { return };
    let mut run = Run { node: Node::new(control & 4 != 0), page_size, wal: None, script };
    for _ in 0..MAX_STEPS {
        let Some(step) = run.script.next() else { return };
        if !run.step(step) {
            return;
        }
        run.node.check();
    }
}

struct Run<'a> {
    node: Node,
    page_size: PageSize,
    wal: Option<WalWriter>,
    script: Script<'a>,
}

impl Run<'_> {
    /// Takes a step. Returns whether there can be another one.
    fn step(&mut self, step: u8) -> bool {
        let flags = step / 20;
        match step % 20 {
            0 | 1 => self.rollback_transaction(),
            2 => self.begin_wal(),
            3..=5 => self.frame(flags),
            6 => self.write_anything(),
            7 => {
                let (file, len) = (self.file(), u64::from(self.script.short()));
                self.careless_with(file);
                let _ = self.node.request(Request::SetLen { file, len });
            }
            8 => {
                let file = self.file();
                self.careless_with(file);
                let _ = self.node.request(Request::Remove(file));
            }
            9 => {
                let file = self.file();
                if self.node.request(Request::Sync(file)).is_ok() && file == File::Database {
                    self.node.careless &= !self.node.is_settled();
                }
            }
            10 => {
                let file = self.file();
                if self.node.disk.content(file).is_none() {
                    let _ = self.node.request(Request::Create(file));
                }
            }
            11 => {
                let _ = self.node.request(Request::Closed);
            }
            12 => self.daemon(flags),
            13 => self.expire(),
            14 | 15 => self.receive(),
            16 => self.checkpoint(flags),
            17 => self.node.disk.refuse_after(u32::from(self.script.byte() % 16)),
            18 => return self.restart(None),
            _ => {
                let kept = self.script.byte();
                return self.restart(Some(kept));
            }
        }
        true
    }

    fn restart(&mut self, power_lost: Option<u8>) -> bool {
        self.wal = None;
        self.node.restart(power_lost)
    }

    /// A program writes to a file as no SQLite does.
    fn careless_with(&mut self, file: File) {
        let journal = self.node.disk.content(File::Journal).is_some();
        self.node.careless |= file == File::Journal || (file == File::Database && journal);
    }

    /// A file that programs have.
    fn file(&mut self) -> File {
        [File::Database, File::Journal, File::Wal][usize::from(self.script.byte() % 3)]
    }

    fn page_number(&mut self) -> PageNumber {
        PageNumber::new(u32::from(self.script.byte() % 12) + 1).unwrap_or(PageNumber::FIRST)
    }

    /// A transaction with a rollback journal: how it goes (1 byte), how many pages the database has then (1), how many it
    /// changes (1), and per page its number and what it is filled with (2).
    fn rollback_transaction(&mut self) {
        let (how, count, changes) = (self.script.byte(), self.script.byte(), self.script.byte() % 6);
        let size = u64::from(self.page_size.get());
        let original = self.node.disk.len(File::Database).ok().flatten().unwrap_or(0).div_ceil(size);
        let original = u32::try_from(original).unwrap_or(0);
        let count = u32::from(count % 12) + 1;
        let mut pages = vec![PageNumber::FIRST];
        let mut fills = vec![self.script.byte()];
        for _ in 0..changes {
            pages.push(self.page_number());
            fills.push(self.script.byte());
        }
        let mut before = Vec::new();
        for page in pages.iter().filter(|page| page.get() <= original) {
            let mut content = vec![0; self.page_size.bytes()];
            let _ = self.node.disk.read_at(File::Database, self.page_size.offset_of(*page), &mut content);
            before.push((*page, content));
        }
        before.sort();
        before.dedup_by_key(|(page, _)| *page);
        let name = [&b"/super-journal-0"[..], b"/super-journal-1"][usize::from(how >> 7)];
        let name = (how & 0x40 != 0).then_some(name);
        let journal = content::journal(self.page_size, original, 9, &before, name);
        let synced = how & 8 == 0;
        self.node.careless |= !synced;
        let written = self.write_rollback(&journal, &pages, &fills, count, synced, how & 16 != 0);
        let (len, original_len) = (u64::from(count) * size, u64::from(original) * size);
        if (written.is_err() && how & 7 != 5) || how & 7 > 5 {
            let _ = self.roll_back(&before, original_len);
            return;
        }
        let ended = match how & 7 {
            0..=2 => self.node.request(Request::Remove(File::Journal)),
            3 => self.node.request(Request::SetLen { file: File::Journal, len: 0 }),
            4 => self.node.write(File::Journal, 0, &[0; 28]),
            // The program dies.
            _ => return,
        };
        // Only now: no journal could bring back what is cut off.
        if ended.is_ok() && len < original_len {
            let _ = self.node.request(Request::SetLen { file: File::Database, len });
        }
    }

    fn write_rollback(
        &mut self,
        journal: &[u8],
        pages: &[PageNumber],
        fills: &[u8],
        count: u32,
        synced: bool,
        wal: bool,
    ) -> Result<(), litefs_core::Errno> {
        let node = &mut self.node;
        for file in [File::Database, File::Journal] {
            if node.disk.content(file).is_none() {
                node.request(Request::Create(file))?;
            }
        }
        node.write(File::Journal, 0, journal)?;
        if synced {
            node.request(Request::Sync(File::Journal))?;
        }
        for (page, fill) in pages.iter().zip(fills).filter(|(page, _)| page.get() <= count) {
            let content = content::page(self.page_size, *page, *fill, count, wal);
            node.write(File::Database, self.page_size.offset_of(*page), &content)?;
        }
        let len = u64::from(count) * u64::from(self.page_size.get());
        if node.disk.len(File::Database)?.unwrap_or(0) < len {
            node.request(Request::SetLen { file: File::Database, len })?;
        }
        if synced {
            node.request(Request::Sync(File::Database))?;
        }
        Ok(())
    }

    fn roll_back(&mut self, before: &[(PageNumber, Vec<u8>)], len: u64) -> Result<(), litefs_core::Errno> {
        for (page, content) in before {
            self.node.write(File::Database, self.page_size.offset_of(*page), content)?;
        }
        self.node.request(Request::SetLen { file: File::Database, len })?;
        self.node.request(Request::Sync(File::Database))?;
        self.node.request(Request::Remove(File::Journal))
    }

    /// Begins the WAL, from its start again where there is one: its salts (1 byte) and byte order (1).
    fn begin_wal(&mut self) {
        let wal = WalWriter::new(self.page_size, self.script.byte(), self.script.byte() & 1 != 0);
        if self.node.disk.content(File::Wal).is_none() {
            let _ = self.node.request(Request::Create(File::Wal));
        }
        let begun = self.node.write(File::Wal, 0, &wal.header.encode());
        if begun.is_ok() {
            self.wal = Some(wal);
        }
    }

    /// A frame of the WAL: page (1 byte), what it is filled with (1), pages of the database if it is to commit (1), and
    /// how it is written (1).
    fn frame(&mut self, flags: u8) {
        let page = self.page_number();
        let (fill, commit, how) = (self.script.byte(), self.script.byte(), self.script.byte());
        let Some(mut wal) = self.wal else { return };
        let commit = match flags {
            0..=7 => u32::from(commit % 13),
            _ => u32::from(commit) << 24 | 0xff_ffff,
        };
        let count = if commit == 0 { self.node.driver.database().page_count() } else { commit };
        let content = content::page(self.page_size, page, fill, count, how & 1 == 0);
        let (at, mut bytes) = wal.frame(page, commit, &content);
        if how & 0x30 == 0x30 {
            let spoilt = bytes.len() * usize::from(how >> 6) / 4;
            bytes[spoilt] ^= 0x20;
        }
        let cut = match how & 6 {
            0 => 24,
            2 => 0,
            4 => 300,
            _ => 10,
        };
        let (first, second) = bytes.split_at(cut);
        let before = self.node.driver.position();
        let mut written = self.node.write(File::Wal, at, first);
        if how & 8 != 0 {
            // In the wrong order, and so twice.
            written = written.and_then(|()| self.node.write(File::Wal, at + cut as u64, second));
            written = written.and_then(|()| self.node.write(File::Wal, at, first));
        }
        written = written.and_then(|()| self.node.write(File::Wal, at + cut as u64, second));
        let committed = self.node.driver.position() != before;
        if committed || self.node.driver.database().wal_end().is_some_and(|end| end.1 > wal.end().1) {
            wal.commit();
        } else if written.is_err() {
            wal.undo();
        }
        self.wal = Some(wal);
    }

    /// Bytes to any place: file (1 byte), offset (2), number of bytes (1), the bytes.
    fn write_anything(&mut self) {
        let (file, offset) = (self.file(), u64::from(self.script.short()));
        let len = usize::from(self.script.byte() % 64);
        let data = self.script.bytes(len);
        self.careless_with(file);
        let _ = self.node.write(file, offset, data);
    }

    /// What the daemon does by itself.
    fn daemon(&mut self, flags: u8) {
        let driver = &mut self.node.driver;
        let _ = match flags {
            0..=2 => driver.append_pending(),
            3 | 4 => driver.sync_log(),
            5..=7 => driver.save(),
            8 => driver.repair(NOW).map(drop),
            9 => driver.extend_wal(20_000),
            10 => driver.promote(),
            _ => driver.close(),
        };
    }

    /// Gives up segments of the log: bytes that are kept, in units of 1 KiB (1 byte), and whether age matters (bit 7).
    fn expire(&mut self) {
        let how = self.script.byte();
        let retention =
            Retention { age_ms: (how & 0x80 != 0).then_some(0), size: Some(u64::from(how & 0x7f) * 1024) };
        let _ = self.node.driver.expire(retention, NOW.wall_ms + 1);
    }

    /// A transaction from another node, see [`Transfer::read`].
    fn receive(&mut self) {
        let _ = self.node.request(Request::Closed);
        let Some(transfer) = Transfer::read(&self.node, self.page_size, &mut self.script) else { return };
        if !self.node.is_settled() {
            return;
        }
        let fits = self.wal.as_ref().is_some_and(|wal| transfer.fits(&self.node.driver, wal));
        if fits {
            transfer.apply(&mut self.node, self.wal.as_mut());
            return;
        }
        // Nobody has the database open then, and the WAL is gone.
        if self.node.request(Request::Remove(File::Wal)).is_ok() {
            self.wal = None;
            transfer.apply(&mut self.node, None);
        }
    }

    /// Copies what is in the WAL to the database file, past the machine or not, and says so in the wal-index.
    fn checkpoint(&mut self, flags: u8) {
        let database = self.node.driver.database();
        let (page_count, frames) = (database.page_count(), database.wal_frames().collect::<Vec<_>>());
        let Some(wal) = self.wal.filter(|wal| database.wal_end() == Some(wal.end())) else { return };
        if database.stopped().is_some() || database.has_active_journal() {
            return;
        }
        let mut content = vec![0; self.page_size.bytes()];
        for (page, frame) in frames.into_iter().filter(|(page, _)| page.get() <= page_count) {
            let offset = self.page_size.offset_of(page);
            let Ok(read) = self.node.disk.read_at(File::Wal, frame + 24, &mut content) else { return };
            assert_eq!(read, content.len(), "frame at {frame}");
            let copied = match flags & 1 {
                0 => self.node.disk.write_at(File::Database, offset, &content),
                _ => self.node.write(File::Database, offset, &content),
            };
            if copied.is_err() {
                return;
            }
        }
        let len = u64::from(page_count) * u64::from(self.page_size.get());
        let cut = self.node.request(Request::SetLen { file: File::Database, len });
        if cut.is_ok() && flags & 2 != 0 && self.node.request(Request::Sync(File::Database)).is_ok() {
            let _ = self.node.disk.write_at(File::Shm, 0, &wal.index_after_checkpoint(page_count));
        }
    }
}
