//! Checking a database at rest without changing anything: would it open, and is it what its log says?

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{Finding, StoredFile, Unfinished, Verdict, bring_together, wal_scan};
use crate::log::{Damage, Log, Stored};
use crate::sqlite::journal::JournalReader;
use crate::{
    Checksum, Errno, File, PageNumber, PageSize, PageSums, Planted, Position, ReadAt, SavedSums, Txid, View,
    ltx,
};

/// Checks the database in `view`: each LTX file in the log, how they follow each other, the saved checksums, and the
/// database file. What the log can repair at the next start is as good as whole.
///
/// # Errors
/// What the disk answered.
pub fn verify<V: View>(view: &V) -> Result<Verdict, Errno> {
    let mut verdict = Verdict::default();
    let bytes = super::recover::read_all(view, File::Sums)?;
    let saved = bytes.as_deref().and_then(SavedSums::decode);
    if bytes.is_some() && saved.is_none() {
        verdict.findings.push(Finding::Sums);
    }
    let trusted = saved.as_ref().map_or(Txid::ZERO, |saved| saved.position.txid);
    // Nothing is appended here, so a segment that is damaged need not count as full.
    let mut scan = Log::open(view, 0, trusted)?;
    verdict.findings.extend(scan.damage.iter().copied().map(Finding::Segment));
    let segments = view.segments()?;
    if let (true, None, Some(number)) = (trusted > Txid::ZERO, scan.log.first(), segments.last()) {
        // Retention leaves the newest segment, and something in it.
        verdict.findings.push(Finding::Segment(Damage { segment: *number, offset: 0 }));
    } else if let Some((number, len)) = scan.trim.or_else(|| Some((*scan.unbegun.first()?, 0))) {
        let bytes = view.len(File::Segment(number))?.unwrap_or(len) - len;
        verdict.unfinished.push(Unfinished::Append { bytes });
    }
    let saved = saved.filter(|saved| {
        if saved.base == saved.position && scan.log.first().is_none() {
            scan.log.start_at(saved.position);
        }
        if saved.position.txid > scan.log.end().txid {
            let (end, saved) = (scan.log.end(), saved.position);
            verdict.findings.push(Finding::Lost { end, saved });
        }
        scan.log.leads_from(saved.position)
    });
    let complete = scan.log.first().is_some_and(|first| first.min_txid == Txid::new(1));
    let saved = saved.or_else(|| complete.then(SavedSums::nothing));
    verdict.position = scan.log.end();
    verdict.first = scan.log.first().map(|stored| stored.min_txid);
    verdict.log_len = scan.log.size();

    let mut image = Image::after(saved);
    let before_all = verdict.first.map_or(Txid::ZERO, Txid::prev);
    let stored: Vec<Stored> = scan.log.after(before_all).into_iter().flatten().copied().collect();
    verdict.files = stored.len();
    for stored in stored {
        verdict.findings.extend(image.follow(view, stored)?);
    }
    verdict.page_count = image.sums.page_count();
    if !image.lost {
        check_database(view, &image, &mut verdict)?;
    }
    Ok(verdict)
}

/// What the database file should hold.
struct Image {
    page_size: PageSize,
    sums: PageSums,
    /// The checksums are those of the log's end, not only those of pages that the log has.
    known: bool,
    /// The checksums have everything up to here.
    position: Txid,
    /// The database file has everything up to here.
    base: Txid,
    /// What the log has after that, and the next start writes.
    redone: BTreeSet<PageNumber>,
    /// A transaction that is needed could not be read.
    lost: bool,
}

impl Image {
    fn after(saved: Option<SavedSums>) -> Self {
        let known = saved.is_some();
        let saved = saved.unwrap_or_else(SavedSums::nothing);
        Self {
            page_size: saved.page_size,
            sums: saved.sums,
            known,
            position: saved.position.txid,
            base: saved.base.txid,
            redone: BTreeSet::new(),
            lost: false,
        }
    }

    /// Reads an LTX file of the log and takes in what it changes.
    fn follow<V: View>(&mut self, view: &V, stored: Stored) -> Result<Option<Finding>, Errno> {
        let damaged = |reason| Finding::Transaction { min_txid: stored.min_txid, reason };
        let (new, redo) = (stored.post.txid > self.position, stored.post.txid > self.base);
        let file = StoredFile::new(view, stored);
        let mut decoder = ltx::Decoder::new();
        let mut chunk = alloc::vec![0; 64 * 1024];
        let (mut offset, mut begun, mut found) = (0, None, None);
        let mut sums = Vec::new();
        loop {
            loop {
                match decoder.next() {
                    Ok(Some(ltx::Item::Header(header))) => {
                        begun = Some(header);
                    }
                    Ok(Some(ltx::Item::Page { number, data })) => {
                        if new {
                            sums.push((number, Checksum::of_page(number, data)));
                        }
                        if redo {
                            self.redone.insert(number);
                        }
                    }
                    Ok(Some(ltx::Item::End(trailer))) => {
                        let Some(header) = begun else { continue };
                        if new && let Err(fault) = self.take(&header, &sums) {
                            self.lost = true;
                            return Ok(Some(damaged(ltx::DecodeError { offset, fault })));
                        }
                        let leads_to = Position { txid: header.max_txid, checksum: trailer.post_apply };
                        found = (leads_to != stored.post)
                            .then_some(Finding::Place { expected: stored.post, found: leads_to });
                    }
                    Ok(None) => break,
                    Err(reason) => {
                        self.lost |= new || redo;
                        return Ok(Some(damaged(reason)));
                    }
                }
            }
            let read = file.read_at(offset, &mut chunk)?;
            if read == 0 {
                let end = decoder.finish();
                self.lost |= end.is_err() && (new || redo);
                return Ok(end.err().map(damaged).or(found));
            }
            decoder.feed(&chunk[..read]);
            offset += read as u64;
        }
    }

    fn take(&mut self, header: &ltx::Header, sums: &[(PageNumber, Checksum)]) -> Result<(), ltx::Fault> {
        if header.page_size != self.page_size {
            self.sums = PageSums::default();
        }
        self.page_size = header.page_size;
        self.sums.follow(header, sums)
    }
}

/// Compares the database file with the image.
fn check_database<V: View>(view: &V, image: &Image, verdict: &mut Verdict) -> Result<(), Errno> {
    let len = view.len(File::Database)?.unwrap_or(0);
    if let Some((_, transactions)) =
        wal_scan::scan(view, Planted::default())?.filter(|(_, found)| !found.is_empty())
    {
        verdict.unfinished.push(Unfinished::Wal { transactions: transactions.len() });
    }
    if verdict.position == Position::ZERO {
        if len > 0 {
            verdict.unfinished.push(Unfinished::NoLog);
        }
        return Ok(());
    }
    let rolled_back = journal_sums(view)?;
    if rolled_back.is_some() {
        verdict.unfinished.push(Unfinished::Journal);
    }
    if view.len(File::Unjournaled)?.is_some() || bring_together::hot_super_journal(view)?.is_some() {
        verdict.unfinished.push(Unfinished::Unjournaled);
        return Ok(());
    }
    compare(view, image, &rolled_back.unwrap_or_default(), verdict)
}

/// Compares the pages, as they are once the journal is rolled back.
fn compare<V: View>(
    view: &V,
    image: &Image,
    rolled_back: &BTreeMap<PageNumber, Checksum>,
    verdict: &mut Verdict,
) -> Result<(), Errno> {
    let mut sums = PageSums::default();
    sums.resize(image.sums.page_count());
    let mut wrong = Vec::new();
    let mut content = alloc::vec![0; image.page_size.bytes()];
    for page in (1..=sums.page_count()).filter_map(PageNumber::new) {
        let expected = image.sums.get(page);
        if page == image.page_size.lock_page() || image.redone.contains(&page) {
            sums.set(page, expected);
            continue;
        }
        let read = view.read_at(File::Database, image.page_size.offset_of(page), &mut content)?;
        content[read..].fill(0);
        let found = rolled_back.get(&page).copied().unwrap_or_else(|| Checksum::of_page(page, &content));
        sums.set(page, found);
        // A page that a LiteFS primary left out is zeros.
        let absent = expected == Checksum::ZERO && content.iter().all(|byte| *byte == 0);
        if image.known && !absent && found != expected {
            wrong.push((page, found, expected));
        }
    }
    let end = verdict.position;
    let total = if image.known { image.sums.total() } else { sums.total() };
    let adds_up = total == end.checksum
        || (!image.known && sums.without_zero_pages(image.page_size).total() == end.checksum);
    if !adds_up {
        verdict.findings.push(Finding::Total { expected: end, found: total });
    } else if let [(page, found, expected), more @ ..] = wrong.as_slice() {
        let (page, found, expected) = (*page, *found, *expected);
        verdict.findings.push(Finding::Page { page, found, expected, more: more.len() });
    }
    Ok(())
}

/// The checksums of the pages that rolling back a hot journal brings back; `None` if there is none.
fn journal_sums<V: View>(view: &V) -> Result<Option<BTreeMap<PageNumber, Checksum>>, Errno> {
    let mut reader = JournalReader::of_database(view)?;
    if !reader.is_hot() {
        return Ok(None);
    }
    let mut sums = BTreeMap::new();
    while let Some((page, content)) = reader.next()? {
        sums.insert(page, Checksum::of_page(page, content));
    }
    Ok(Some(sums))
}
