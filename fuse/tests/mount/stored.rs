//! The mount over the real store: what programs commit is captured.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use litefs_core::database::Authority;
use litefs_core::log::Retention;
use litefs_core::{DatabaseName, NodeId, Position, Txid};
use litefs_fuse::store::{Store, StoreOptions};
use litefs_fuse::{DatabaseFiles, Options, OtherFiles};

use crate::fixture::{Fixture, wait_until};
use crate::sqlite::{MODES, every_journal_mode_works};

fn primary(data_dir: &Path) -> Arc<Store> {
    let store = Store::open(&StoreOptions {
        data_dir: data_dir.to_owned(),
        node_id: NodeId::new(1),
        compress: true,
        retention: Retention { age_ms: None, size: None },
    })
    .unwrap();
    store.set_authority(Authority::Forever).unwrap();
    store.role().set(true, None);
    store
}

fn fixture(change: impl FnOnce(&mut Options)) -> Fixture<Store> {
    Fixture::over(primary, change)
}

fn position(fixture: &Fixture<Store>, name: &str) -> Position {
    fixture.databases.get(&DatabaseName::new(name).unwrap()).unwrap().position()
}

#[test]
fn every_journal_mode_is_captured() {
    for passthrough in [true, false] {
        let fixture = fixture(|options| options.passthrough = passthrough);
        every_journal_mode_works(&fixture);
        for mode in MODES {
            let name = format!("{}.db", mode.replace(' ', "-"));
            wait_until(&name, || position(&fixture, &name).txid >= Txid::new(4));
            let text = fs::read_to_string(fixture.path(&format!("{name}-pos"))).unwrap();
            assert_eq!(text, format!("{}\n", position(&fixture, &name)));
        }
    }
}

#[test]
fn copied_moved_and_removed_databases_are_captured() {
    for other_files in [OtherFiles::Refuse, OtherFiles::Local] {
        let fixture = fixture(|options| options.other_files = other_files);
        fixture.shell("sqlite3 ../source.db 'create table t(x); insert into t values (randomblob(300000))'");
        fixture.shell("cp ../source.db app.db && cmp ../source.db app.db");
        wait_until("the capture of the copy", || position(&fixture, "app.db").txid == Txid::new(1));
        fixture
            .shell("mv app.db new.db && sqlite3 new.db 'insert into t values (1); pragma integrity_check'");
        assert_eq!(position(&fixture, "new.db").txid, Txid::new(2));
        assert!(!fixture.path("app.db").exists());
        fixture.shell("sqlite3 new.db \"vacuum into 'into.db'\"; sqlite3 new.db '.backup backup.db'");
        for copy in ["into.db", "backup.db"] {
            wait_until(copy, || position(&fixture, copy).txid >= Txid::new(1));
            assert_eq!(fixture.shell(&format!("sqlite3 {copy} 'select count(*) from t'")), "2\n");
        }
        fixture.shell("rm new.db; sqlite3 new.db 'create table again(x)'");
        wait_until("the new database", || position(&fixture, "new.db").txid >= Txid::new(4));
        assert_eq!(fixture.shell("sqlite3 new.db .tables"), "again\n");
    }
}
