//! A replica as it runs: readers on a mount, transactions through the store. Needs root and `/dev/fuse`.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Weak;
use std::time::Instant;

use litefs_core::apply::{FileLocks, LockKind, LockRange};
use litefs_core::database::{Authority, Inspector};
use litefs_core::log::Retention;
use litefs_core::sqlite::lock::{PENDING_BYTE, SHARED_FIRST, SHARED_LEN};
use litefs_core::{Checksum, DatabaseName, NodeId, PageNumber, Position, Txid, ltx};

use super::*;
use crate::store::{Store, StoreOptions};
use crate::{DatabaseFiles, Mount, Options, equip, mount};

struct Node {
    mount: Mount,
    store: Arc<Store>,
    /// What was applied last.
    position: Position,
    _dir: tempfile::TempDir,
}

impl Node {
    fn new(passthrough: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions {
            data_dir: dir.path().join("data"),
            node_id: NodeId::new(2),
            compress: true,
            retention: Retention { age_ms: None, size: None },
            retention_interval: None,
            strict_verify: true,
        })
        .unwrap();
        store.role().set(false, Some("primary".to_owned()));
        let mut options = Options::new(dir.path().join("mnt"));
        options.passthrough = passthrough;
        let mount = mount(Arc::clone(&store) as _, &options).unwrap();
        equip(&store, &mount);
        Self { mount, store, position: Position::ZERO, _dir: dir }
    }

    fn path(&self) -> PathBuf {
        self.mount.path().join("db")
    }

    /// Receives the transaction that leaves `source` as it is now.
    fn receive(&mut self, transaction: &Transaction, source: &Source) {
        self.receive_image(transaction, source.image());
    }

    /// Receives the transaction that leads to this content of the database file.
    fn receive_image(&mut self, transaction: &Transaction, image: &[u8]) {
        let image =
            (1..).map(|page| PageNumber::new(page).unwrap()).zip(image.chunks(transaction.page_size.bytes()));
        let post_apply =
            image.fold(Checksum::EMPTY, |sum, (page, content)| sum.toggle(Checksum::of_page(page, content)));
        let max_txid = self.position.txid.next();
        let snapshot = transaction.snapshot;
        let mut encoder = ltx::Encoder::new(ltx::Header {
            compressed: true,
            page_size: transaction.page_size,
            commit: transaction.commit,
            min_txid: if snapshot { Txid::new(1) } else { max_txid },
            max_txid,
            timestamp_ms: 1,
            pre_apply: if snapshot { Checksum::ZERO } else { self.position.checksum },
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: NodeId::new(1),
        })
        .unwrap();
        for (page, content) in &transaction.pages {
            encoder.page(*page, content).unwrap();
        }
        encoder.finish(post_apply).unwrap();
        let file = core::mem::take(encoder.output());
        let database = self.store.get_or_create(&DatabaseName::new("db").unwrap()).unwrap();
        let mut inspector = Inspector::default();
        inspector.feed(&file).unwrap();
        let received = inspector.finish().unwrap();
        self.position = database.receive(&received, &&file[..], file.len() as u64).unwrap();
        assert_eq!(self.position, Position { txid: max_txid, checksum: post_apply });
        assert_eq!(database.position(), self.position);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.store.unequip();
        if let Err(error) = self.mount.unmount() {
            assert!(std::thread::panicking(), "{error}");
        }
        self.store.close();
    }
}

#[test]
fn readers_on_a_mount_see_each_transaction_whole_in_every_mode() {
    for (mode, passthrough) in [("wal", true), ("wal", false), ("delete", true), ("delete", false)] {
        let mut source = Source::new(mode, 4096);
        let mut node = Node::new(passthrough);
        node.receive(&source.snapshot(), &source);
        let mut readers: Vec<Client> = (0..2).map(|_| Client::open(&node.path())).collect();
        for reader in &mut readers {
            reader.get("PRAGMA busy_timeout = 10000; SELECT count(*) FROM account");
            reader.watch(200);
        }
        for seq in 1..=200 {
            node.receive(&source.transfer(seq), &source);
        }
        let in_wal = std::fs::metadata(node.mount.path().join("db-wal")).is_ok_and(|found| found.len() > 0);
        assert_eq!(in_wal, mode == "wal", "the wrong way was taken in mode {mode}");
        for reader in &mut readers {
            let seen = reader.finish();
            assert!(seen.is_ok(), "{seen:?} in mode {mode}, passthrough {passthrough}");
            assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
        }
    }
}

#[test]
fn promoted_node_is_written_by_a_connection_that_read_it_as_a_replica() {
    for (mode, passthrough) in [("wal", true), ("wal", false), ("delete", true), ("delete", false)] {
        let mut source = Source::new(mode, 4096);
        let mut node = Node::new(passthrough);
        node.receive(&source.snapshot(), &source);
        let mut client = Client::open(&node.path());
        assert_eq!(client.get("SELECT seq FROM meta"), "0");
        for seq in 1..=20 {
            node.receive(&source.transfer(seq), &source);
        }
        assert!(client.run("UPDATE meta SET seq = 99").is_err(), "a replica was written in mode {mode}");
        assert_eq!(client.get("SELECT seq FROM meta"), "20");

        node.store.set_authority(Authority::Forever).unwrap();
        node.store.role().set(true, None);
        let database = node.store.get(&DatabaseName::new("db").unwrap()).unwrap();
        let before = database.position().txid;
        assert_eq!(client.get("UPDATE meta SET seq = 21; SELECT seq FROM meta"), "21", "in mode {mode}");
        assert_eq!(database.position().txid, before.next(), "in mode {mode}, passthrough {passthrough}");
        assert_eq!(client.get("PRAGMA integrity_check"), "ok");
    }
}

/// Looks under SHARED as SQLite does, at the header and then at the length, again and again while the test is `running`.
/// Returns how often.
fn compare_lengths(path: &Path, running: &Weak<()>) -> u64 {
    const PENDING: LockRange = LockRange::new(PENDING_BYTE, 1);
    const SHARED: LockRange = LockRange::new(SHARED_FIRST, SHARED_LEN);
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let locks = locks::open(path);
    let mut looks = 0;
    while running.strong_count() > 0 {
        // Without a pause, so that all are there at once.
        if !locks.try_lock(PENDING, LockKind::Read).unwrap() {
            continue;
        }
        let shared = locks.try_lock(SHARED, LockKind::Read).unwrap();
        locks.unlock(PENDING).unwrap();
        if !shared {
            continue;
        }
        let mut field = [0; 4];
        file.read_exact_at(&mut field, 28).unwrap();
        let (pages, len) = (u32::from_be_bytes(field), file.metadata().unwrap().len());
        locks.unlock(SHARED).unwrap();
        assert!(len >= u64::from(pages) * 4096, "{len} bytes are not {pages} pages");
        looks += 1;
    }
    looks
}

#[test]
fn reader_never_finds_fewer_pages_than_the_header_says() {
    let mut source = Source::new("delete", 4096);
    let mut node = Node::new(false);
    node.receive(&source.snapshot(), &source);
    let long = source.run("INSERT INTO log VALUES(1, zeroblob(5000))");
    node.receive(&long, &source);
    let long_image = source.image().to_vec();
    let short = source.run("DELETE FROM log; PRAGMA incremental_vacuum");
    assert!(short.commit < long.commit);
    let path = node.path();
    // Dropped by a test that fails too, for which the scope would wait for the readers for ever.
    let running = Arc::new(());
    let until = Arc::downgrade(&running);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| compare_lengths(&path, &until))).collect();
        for _ in 0..4000 {
            node.receive(&short, &source);
            node.receive_image(&long, &long_image);
            if readers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        drop(running);
        for reader in readers {
            assert!(reader.join().unwrap() > 100, "the reader was kept out");
        }
    });
}

#[test]
fn reader_of_an_empty_wal_soon_needs_no_request() {
    let source = Source::new("wal", 4096);
    let mut node = Node::new(true);
    node.receive(&source.snapshot(), &source);
    if !node.mount.uses_passthrough() {
        return;
    }
    let mut reader = Client::open(&node.path());
    let requests = || node.mount.requests().iter().map(|(_, count)| count).sum::<u64>();
    let started = Instant::now();
    loop {
        let before = requests();
        for _ in 0..100 {
            reader.get("SELECT seq FROM meta");
        }
        if requests() == before {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "every read is asked about");
        std::thread::sleep(Duration::from_millis(2));
    }
}
