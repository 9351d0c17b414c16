use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use litefs_core::apply::{ApplyError, ReceiveError};
use litefs_core::database::{Authority, Request};
use litefs_core::sqlite::header::DatabaseHeader;
use litefs_core::{Checksum, DatabaseName, Errno, File, PageNumber, PageSize, PageSums, Position, ltx};

use super::database::Database;
use super::ltx_file::inspect;
use super::scratch::scratch_file;
use super::{Store, clock, lock};
use crate::DatabaseFiles;
use crate::apply::RealFile;

/// How long an import waits for programs that are writing.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Why a database was not imported. The one that was there is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// This node may not write.
    #[error("this node is not the primary")]
    NotPrimary,
    /// What was given is not a database.
    #[error("read database header: {0}")]
    Header(#[from] litefs_core::sqlite::header::InvalidDatabaseHeader),
    /// The database ends early.
    #[error("read page {page}: unexpected end, the database has {expected} pages")]
    Short {
        /// The first page that is missing.
        page: u32,
        /// Pages the header promises.
        expected: u32,
    },
    /// The source or the disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A file of the node could not be changed.
    #[error("cannot store the database: {0}")]
    Disk(#[from] Errno),
    /// Programs did not let go of the database.
    #[error("cannot lock the database: {0}")]
    Lock(#[from] ApplyError),
    /// The transaction that replaces the database was refused.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The transaction could not be written.
    #[error("cannot encode the database: {0}")]
    Encode(#[from] ltx::EncodeError),
}

/// A database that was received whole, in a file without a name.
struct Staged {
    file: fs::File,
    page_size: PageSize,
    page_count: u32,
}

impl Store {
    /// Replaces a database, or creates it, by one transaction with the content of `source`.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed.
    pub fn import(&self, name: &DatabaseName, source: &mut dyn Read) -> Result<Position, ImportError> {
        let staged = Staged::read(scratch_file(self.data_dir().path())?, source)?;
        if *lock(&self.authority) == Authority::ReadOnly {
            return Err(ImportError::NotPrimary);
        }
        let database = self.get_or_create(name)?;
        if database.len(File::Database)?.is_none() {
            database.request(Request::Create(File::Database))?;
        }
        let ltx = scratch_file(self.data_dir().path())?;
        database.replace(&staged, ltx, self.options.compress, self.node_id())
    }
}

impl Staged {
    fn read(file: fs::File, source: &mut dyn Read) -> Result<Self, ImportError> {
        let len = io::copy(source, &mut &file)?;
        let mut head = vec![0; DatabaseHeader::LEN.min(usize::try_from(len).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut head, 0)?;
        let header = DatabaseHeader::decode(&head)?;
        let in_file = u32::try_from(len / u64::from(header.page_size.get())).unwrap_or(u32::MAX);
        let page_count = header.valid_page_count().unwrap_or(in_file);
        if in_file < page_count {
            return Err(ImportError::Short { page: in_file + 1, expected: page_count });
        }
        Ok(Self { file, page_size: header.page_size, page_count })
    }

    /// Writes the LTX file that leads from `before` to this database. `counters` are the change counter and the schema
    /// cookie that page 1 must go beyond.
    fn encode(
        &self,
        ltx: &fs::File,
        before: Position,
        counters: Option<(u32, u32)>,
        compressed: bool,
        node_id: litefs_core::NodeId,
    ) -> Result<u64, ImportError> {
        let txid = before.txid.next();
        let snapshot = before == Position::ZERO;
        let mut encoder = ltx::Encoder::new(ltx::Header {
            compressed,
            page_size: self.page_size,
            commit: self.page_count,
            min_txid: txid,
            max_txid: txid,
            timestamp_ms: clock::now().wall_ms,
            pre_apply: if snapshot { Checksum::ZERO } else { before.checksum },
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id,
        })?;
        let mut page = vec![0; self.page_size.bytes()];
        let mut sums = PageSums::default();
        let mut out = io::BufWriter::new(ltx);
        let mut len = 0;
        for number in (1..=self.page_count).filter_map(PageNumber::new) {
            if number == self.page_size.lock_page() {
                continue;
            }
            self.file.read_exact_at(&mut page, self.page_size.offset_of(number))?;
            if let (PageNumber::FIRST, Some((counter, cookie))) = (number, counters) {
                outdo(&mut page, counter, cookie);
            }
            sums.set(number, Checksum::of_page(number, &page));
            encoder.page(number, &page)?;
            len += encoder.output().len() as u64;
            out.write_all(encoder.output())?;
            encoder.output().clear();
        }
        encoder.finish(sums.total())?;
        len += encoder.output().len() as u64;
        out.write_all(encoder.output())?;
        out.flush()?;
        Ok(len)
    }
}

/// Makes page 1 differ from what connections have cached of the database before: they compare the change counter, and
/// read the schema again when its cookie changes (SQLite file format 1.3.5 and 1.3.9).
fn outdo(page: &mut [u8], counter: u32, cookie: u32) {
    let field =
        |page: &[u8], at: usize| u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let valid = field(page, 92) == field(page, 24);
    let counter = field(page, 24).max(counter).wrapping_add(1);
    page[24..28].copy_from_slice(&counter.to_be_bytes());
    if valid {
        page[92..96].copy_from_slice(&counter.to_be_bytes());
    }
    let cookie = field(page, 40).max(cookie).wrapping_add(1);
    page[40..44].copy_from_slice(&cookie.to_be_bytes());
}

impl Database {
    /// Replaces the content of the database by one transaction.
    fn replace(
        self: &Arc<Self>,
        staged: &Staged,
        ltx: fs::File,
        compressed: bool,
        node_id: litefs_core::NodeId,
    ) -> Result<Position, ImportError> {
        self.hold(LOCK_WAIT)?;
        let replaced = (|| {
            let counters = self.header_counters()?;
            let len = staged.encode(&ltx, self.position(), counters, compressed, node_id)?;
            let ltx = RealFile::new(ltx);
            Ok(self.receive(&inspect(&ltx, len)?, &ltx, len)?)
        })();
        self.release()?;
        replaced
    }

    /// The change counter and the schema cookie of the database as it is, if it has any content.
    fn header_counters(&self) -> Result<Option<(u32, u32)>, ImportError> {
        if self.page_count() == 0 {
            return Ok(None);
        }
        let mut image = self.export()?;
        let mut head = [0; DatabaseHeader::LEN];
        image.read_exact(&mut head)?;
        let header = DatabaseHeader::decode(&head)?;
        Ok(Some((header.change_counter, header.schema_cookie)))
    }
}
