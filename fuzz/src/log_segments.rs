use litefs_core::Planted;
use litefs_core::database::Options;
use litefs_core::drive::{self, Driver, OpenError};
use litefs_core::sqlite::wal::{FRAME_HEADER_LEN, HEADER_LEN, WalChecksum, WalHeader};
use litefs_core::{ChecksumHasher, File, NodeId, Now};

use crate::memory_disk::MemoryDisk;
use crate::repair::repair;
use crate::saved_sums;

/// Bytes of an entry's header.
const ENTRY_LEN: usize = 80;
/// Bytes of the header of a segment.
const SEGMENT_LEN: usize = 16;
/// The moment everything happens.
const NOW: Now = Now { monotonic_ns: 1, wall_ms: 1_700_000_000_000 };

/// The files of a database as a process left them: each behind its kind (1 byte) and its length (2 bytes, big-endian).
/// The first byte's bit 0 gives the parts the checksums that they have, bit 1 begins a new segment at every entry.
///
/// A kind below 64 is a segment with this number; those after it are, by their value modulo 6, database file, journal,
/// WAL, wal-index, saved checksums, mark of writes without a journal.
pub fn log_segments(data: &[u8]) {
    let Some((control, mut rest)) = data.split_first() else { return };
    let disk = MemoryDisk::default();
    while let [kind, high, low, after @ ..] = rest {
        let len = after.len().min(usize::from(u16::from_be_bytes([*high, *low])));
        let (content, after) = after.split_at(len);
        let file = file_of(*kind);
        let mut content = content.to_vec();
        if control & 1 != 0 {
            match file {
                File::Segment(number) => repair_segment(&mut content, number),
                File::Wal => repair_wal(&mut content),
                File::Sums => saved_sums::repair(&mut content),
                _ => {}
            }
        }
        disk.put(file, content);
        rest = after;
    }
    check(&disk, if control & 2 != 0 { 1 } else { 1 << 20 });
}

fn file_of(kind: u8) -> File {
    let others = [File::Database, File::Journal, File::Wal, File::Shm, File::Sums, File::Unjournaled];
    if kind < 64 { File::Segment(u64::from(kind)) } else { others[usize::from(kind - 64) % others.len()] }
}

fn open(
    disk: &MemoryDisk,
    segment_len_max: u64,
) -> Result<(Driver<MemoryDisk>, drive::Recovered), OpenError> {
    let options =
        Options { node_id: NodeId::new(7), compress: false, backlog_max: 8, planted: Planted::default() };
    Driver::open(disk.clone(), options, segment_len_max, &|name| name.len() % 2 == 0, NOW)
}

/// Recovery gives a database that is what its position says, and one that a second recovery has nothing to do with.
fn check(disk: &MemoryDisk, segment_len_max: u64) {
    let files = disk.files();
    let verdict = drive::verify(disk);
    assert!(disk.files() == files, "a check changed a file");
    if let Ok(verdict) = verdict {
        let log_len = files.iter().map(|(file, content)| match file {
            File::Segment(_) => content.len() as u64,
            _ => 0,
        });
        assert!(verdict.log_len <= log_len.sum(), "{} bytes of log", verdict.log_len);
    }
    let Ok((driver, _)) = open(disk, segment_len_max) else { return };
    let position = driver.position();
    assert_eq!(driver.log().end(), position);
    assert_eq!(driver.durable(), position);
    // What the files hold is believed where the log and the saved checksums agree, so it need not be what they say.
    assert!(driver.recompute_checksum().is_ok());
    drop(driver);
    let files = disk.files();
    match open(disk, segment_len_max) {
        Ok((_, again)) => {
            let mut nothing = drive::Recovered { position, ..drive::Recovered::default() };
            nothing.damage.clone_from(&again.damage);
            if disk.content(File::Sums).is_none() || !again.damage.is_empty() {
                // A database without pages has nothing to save, and a log that lost its end stays as it is: everything is
                // gone through each time.
                (nothing.redone, nothing.scanned) = (again.redone, again.scanned);
            }
            assert_eq!(again, nothing, "recovery did something again");
            assert!(disk.files() == files, "recovery changed a file again");
        }
        Err(error) => panic!("recovered at {position}, and then: {error}"),
    }
}

/// Gives each entry the checksum that it has at its place, and its LTX file too.
fn repair_segment(segment: &mut [u8], number: u64) {
    if let Some(head) = segment.first_chunk_mut::<SEGMENT_LEN>() {
        head[..8].copy_from_slice(b"LFSLOG01");
        head[8..].copy_from_slice(&number.to_be_bytes());
    }
    let mut at = SEGMENT_LEN;
    while let Some(entry) = segment.get_mut(at..at + ENTRY_LEN) {
        let mut len = [0; 8];
        len.copy_from_slice(&entry[8..16]);
        let mut hasher = ChecksumHasher::new();
        hasher.update(&number.to_be_bytes());
        hasher.update(&(at as u64).to_be_bytes());
        hasher.update(&entry[..72]);
        entry[72..].copy_from_slice(&hasher.finish().get().to_be_bytes());
        at += ENTRY_LEN;
        let Some(end) = usize::try_from(u64::from_be_bytes(len)).ok().and_then(|len| at.checked_add(len))
        else {
            return;
        };
        let Some(file) = segment.get_mut(at..end) else { return };
        let is_compressed = file.get(7).is_some_and(|flags| flags & 1 != 0);
        if !is_compressed {
            repair(file);
        }
        at = end;
    }
}

/// Gives the frames of a WAL the salts and checksums that make them a chain.
fn repair_wal(wal: &mut [u8]) {
    let Some((head, mut rest)) = wal.split_first_chunk_mut::<HEADER_LEN>() else { return };
    let Ok(header) = WalHeader::decode(head) else { return };
    let mut chain = header.checksum;
    while let Some((frame, after)) = rest.split_at_mut_checked(FRAME_HEADER_LEN + header.page_size.bytes()) {
        frame[8..16].copy_from_slice(&head[16..24]);
        chain.update(&frame[..8], header.byte_order);
        chain.update(&frame[FRAME_HEADER_LEN..], header.byte_order);
        let WalChecksum { s0, s1 } = chain;
        frame[16..20].copy_from_slice(&s0.to_be_bytes());
        frame[20..24].copy_from_slice(&s1.to_be_bytes());
        rest = after;
    }
}
