mod data_dir;

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use litefs_core::Txid;
use litefs_core::ltx::{DecodeError, Decoder, Header, Item, Trailer};

use super::EXIT_RUNTIME;

/// Bytes read at a time.
const PIECE: usize = 256 << 10;
/// The first millisecond, since the Unix epoch, that cannot be written with a year of four digits.
const YEAR_10000_MS: u64 = 253_402_300_800_000;

/// Checks data directories and LTX files
///
/// Of an LTX file, reads every byte, recomputes every checksum that does not need the database, and tells what is in it.
/// Of a data directory, checks every database: each transaction in its log, how they follow each other, and the database
/// file against them. Nothing is changed. The exit code is 1 if anything is damaged.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Data directories, directories of single databases, or LTX files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Verify {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        for path in &self.paths {
            if path.is_dir() {
                let (text, whole) = data_dir::verify(path)?;
                io::stdout().write_all(text.as_bytes())?;
                if !whole {
                    code = ExitCode::from(EXIT_RUNTIME);
                }
                continue;
            }
            let report = verify_ltx(path)?;
            io::stdout().write_all(report.render(path).as_bytes())?;
            if report.damage.is_some() {
                code = ExitCode::from(EXIT_RUNTIME);
            }
        }
        Ok(code)
    }
}

/// What an LTX file holds, as far as it can be read.
#[derive(Debug, Default, Eq, PartialEq)]
struct Report {
    header: Option<Header>,
    /// Pages that were read before the end or the damage.
    pages: u64,
    trailer: Option<Trailer>,
    /// Why the file cannot be used.
    damage: Option<Damage>,
}

/// Why an LTX file cannot be used.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
enum Damage {
    #[error(transparent)]
    Content(#[from] DecodeError),
    #[error("the file is named for transactions {}, it holds {}", range(named.0, named.1), range(held.0, held.1))]
    Name { named: (Txid, Txid), held: (Txid, Txid) },
}

fn verify_ltx(path: &Path) -> anyhow::Result<Report> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut report = read(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    if let (None, Some(header), Some(named)) = (&report.damage, &report.header, name(path)) {
        let held = (header.min_txid, header.max_txid);
        if named != held {
            report.damage = Some(Damage::Name { named, held });
        }
    }
    Ok(report)
}

/// Reads a file to its end or to the first thing that is wrong with it.
fn read(file: &mut impl Read) -> io::Result<Report> {
    let mut report = Report::default();
    let mut decoder = Decoder::new();
    let mut piece = vec![0; PIECE];
    loop {
        let len = match file.read(&mut piece) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        decoder.feed(&piece[..len]);
        if let Err(error) = drain(&mut decoder, &mut report) {
            report.damage = Some(error.into());
            return Ok(report);
        }
        if len == 0 {
            report.damage = decoder.finish().err().map(Damage::from);
            return Ok(report);
        }
    }
}

fn drain(decoder: &mut Decoder, report: &mut Report) -> Result<(), DecodeError> {
    while let Some(item) = decoder.next()? {
        match item {
            Item::Header(header) => report.header = Some(header),
            Item::Page { .. } => report.pages += 1,
            Item::End(trailer) => report.trailer = Some(trailer),
        }
    }
    Ok(())
}

/// The transactions that a file is named for, if it is named like an LTX file.
fn name(path: &Path) -> Option<(Txid, Txid)> {
    litefs_core::ltx::parse_file_name(path.file_name()?.to_str()?)
}

impl Report {
    fn render(&self, path: &Path) -> String {
        let mut text = String::new();
        let mut fact = |name: &str, value: &dyn Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<13} {value}");
        };
        fact("file", &path.display());
        if let Some(header) = &self.header {
            fact("transactions", &range(header.min_txid, header.max_txid));
            fact("written at", &instant(header.timestamp_ms));
            fact("written by", &header.node_id);
            fact("page size", &header.page_size.get());
            fact("pages", &format_args!("{}{}", self.pages, kind(header)));
            fact("database", &format_args!("{} pages", header.commit));
            fact("pre-apply", &header.pre_apply);
        }
        if let Some(trailer) = &self.trailer {
            fact("post-apply", &trailer.post_apply);
            fact("file checksum", &trailer.file_checksum);
        }
        match &self.damage {
            None => fact("verdict", &"ok"),
            Some(damage) => fact("verdict", &format_args!("damaged: {damage}")),
        }
        text
    }
}

fn kind(header: &Header) -> &'static str {
    match (header.is_snapshot(), header.compressed) {
        (true, true) => ", a snapshot, compressed",
        (true, false) => ", a snapshot",
        (false, true) => ", compressed",
        (false, false) => "",
    }
}

fn range(min: Txid, max: Txid) -> String {
    match min == max {
        true => min.to_string(),
        false => format!("{min} to {max}"),
    }
}

fn instant(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(since_epoch) if since_epoch < YEAR_10000_MS => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(since_epoch)).to_string()
        }
        _ => format!("{milliseconds} ms since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use litefs_core::ltx::Fault;
    use litefs_core::{Checksum, NodeId, PageNumber, PageSize};

    use super::*;

    const NAME: &str = "0000000000000001-0000000000000001.ltx";

    /// A database of two pages, as its first transaction.
    fn ltx() -> Vec<u8> {
        let header = Header {
            compressed: true,
            page_size: PageSize::new(512).unwrap(),
            commit: 2,
            min_txid: Txid::new(1),
            max_txid: Txid::new(1),
            timestamp_ms: 1_795_341_600_123,
            pre_apply: Checksum::ZERO,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: NodeId::new(0xab),
        };
        let mut encoder = litefs_core::ltx::Encoder::new(header).unwrap();
        let mut checksum = Checksum::EMPTY;
        for number in [1, 2] {
            let number = PageNumber::new(number).unwrap();
            let content = [number.get() as u8; 512];
            encoder.page(number, &content).unwrap();
            checksum = checksum.toggle(Checksum::of_page(number, &content));
        }
        encoder.finish(checksum).unwrap();
        std::mem::take(encoder.output())
    }

    fn report(name: &str, bytes: &[u8]) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        verify_ltx(&path).unwrap()
    }

    #[test]
    fn whole_file_is_told_with_its_facts() {
        insta::assert_snapshot!(report(NAME, &ltx()).render(Path::new(NAME)));
    }

    #[test]
    fn file_that_was_cut_off_is_damaged() {
        let bytes = ltx();
        for len in [0, 50, 100, bytes.len() - 16, bytes.len() - 1] {
            let report = report(NAME, &bytes[..len]);
            let expected = DecodeError { offset: len as u64, fault: Fault::Truncated };
            assert_eq!(report.damage, Some(Damage::Content(expected)), "{len}");
        }
    }

    #[test]
    fn every_changed_byte_is_damage() {
        let bytes = ltx();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            assert_ne!(report(NAME, &changed).damage, None, "{index}");
        }
    }

    #[test]
    fn name_that_belongs_to_other_transactions_is_damage() {
        let report = report("0000000000000002-0000000000000003.ltx", &ltx());
        assert_eq!(
            report.damage.unwrap().to_string(),
            "the file is named for transactions 0000000000000002 to 0000000000000003, it holds 0000000000000001"
        );
    }

    #[test]
    fn file_of_another_name_is_judged_by_its_content() {
        assert_eq!(report("received.tmp", &ltx()).damage, None);
    }
}
