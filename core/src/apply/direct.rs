use alloc::vec::Vec;

use super::checked_pages::CheckedPages;
use super::context::Context;
use super::{ApplyError, BackingFile, System};
use crate::{File as Kind, PageNumber, PageSize, WriteAt};

/// Writes a transaction to the database file, on which the caller holds EXCLUSIVE and of which no page is in the WAL.
///
/// After an error the file may be half written: the caller keeps the lock until a transaction was written whole.
pub(super) fn write_transaction<S: System>(
    context: &Context<S>,
    database: &S::File,
    pages: &mut CheckedPages<'_>,
    complete: bool,
) -> Result<(), ApplyError> {
    let page_size = pages.page_size();
    let mut writer = DatabaseWriter::new(context, database, page_size);
    while let Some((page, content)) = pages.next()? {
        writer.write(page, content)?;
    }
    writer.finish()?;
    if complete {
        pages.check_complete()?;
    }
    let len = u64::from(pages.commit()) * u64::from(page_size.get());
    if database.len().map_err(ApplyError::io("look at", Kind::Database))? != len {
        database.set_len(len).map_err(ApplyError::io("resize", Kind::Database))?;
    }
    context.resized(Kind::Database)
}

/// Has the disk set space aside for what the database file grows by, so that a full disk is known before anything is
/// written.
pub(super) fn set_space_aside(
    database: &impl BackingFile,
    pages: &CheckedPages<'_>,
) -> Result<(), ApplyError> {
    let present = database.len().map_err(ApplyError::io("look at", Kind::Database))?;
    let len = u64::from(pages.commit()) * u64::from(pages.page_size().get());
    if len <= present {
        return Ok(());
    }
    database.set_space_aside(present, len - present).map_err(ApplyError::io("grow", Kind::Database))
}

/// Writes pages to the backing database file, neighbours together, and has the kernel forget the old ones.
pub(super) struct DatabaseWriter<'a, S: System> {
    context: &'a Context<S>,
    file: &'a S::File,
    page_size: PageSize,
    /// Where `run` goes, in bytes.
    start: u64,
    run: Vec<u8>,
}

/// Neighbouring pages are written together up to this many bytes.
const RUN_MAX: usize = 1 << 20;

impl<'a, S: System> DatabaseWriter<'a, S> {
    pub(super) fn new(context: &'a Context<S>, file: &'a S::File, page_size: PageSize) -> Self {
        Self { context, file, page_size, start: 0, run: Vec::new() }
    }

    pub(super) fn write(&mut self, page: PageNumber, content: &[u8]) -> Result<(), ApplyError> {
        let offset = self.page_size.offset_of(page);
        if offset != self.start + self.run.len() as u64 || self.run.len() >= RUN_MAX {
            self.flush()?;
            self.start = offset;
        }
        self.run.extend_from_slice(content);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), ApplyError> {
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ApplyError> {
        if self.run.is_empty() {
            return Ok(());
        }
        self.file.write_at(self.start, &self.run).map_err(ApplyError::io("write", Kind::Database))?;
        self.context.invalidate(Kind::Database, self.start..self.start + self.run.len() as u64)?;
        self.run.clear();
        Ok(())
    }
}
