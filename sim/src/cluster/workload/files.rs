use litefs_core::{Checksum, Errno, Position};
use rusqlite::{Connection, Error};

use super::super::checks::{Head, Outcome};
use super::content;
use super::program::Program;
use super::session::{Found, Open};
use crate::handle::{Handle, Named};

/// Steps that a program waits until everybody has closed their databases.
const PATIENCE: u64 = 50;
/// Bytes that are written at a time where files are copied.
const PIECE: usize = 16 << 10;

/// Where a database says who may write it, and what it says there in WAL mode (SQLite file format 1.3).
const VERSIONS: std::ops::Range<usize> = 18..20;
const WAL_MODE: [u8; 2] = [2, 2];

/// A copy of a database.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    database: &'static str,
    /// What it holds.
    head: Head,
}

/// What is done to the files of a database past SQLite.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// They are removed.
    Remove,
    /// A copy takes their place.
    Restore,
    /// Some pages are written.
    Edit,
}

impl Program {
    /// Does what is done to files past SQLite, or prepares it. False if there is nothing to do now.
    pub(super) fn changes_files_now(&mut self) -> bool {
        if self.features().copies && self.backup.is_none() && self.rng.percent(4) {
            let result = self.back_up();
            self.note("backup", &result);
            return true;
        }
        if self.waits_for_others.is_none() {
            // On other machines it must be refused.
            let tries = if self.is_primary() { 3 } else { 1 };
            if !self.rng.percent(tries) || !self.doors.claim(self.number) {
                return false;
            }
            self.waits_for_others = Some(0);
        }
        for session in std::mem::take(&mut self.sessions) {
            self.close(session, "close");
        }
        let waited = self.waits_for_others.unwrap_or(0);
        if !self.node.applications().is_empty() && waited < PATIENCE {
            self.waits_for_others = Some(waited + 1);
            return true;
        }
        if self.node.applications().is_empty() {
            self.change_files();
        }
        self.let_others_in();
        true
    }

    /// Ends what [`Self::changes_files_now`] began.
    pub(super) fn let_others_in(&mut self) {
        if self.waits_for_others.take().is_some() {
            self.doors.release(self.number);
        }
    }

    fn change_files(&mut self) {
        let features = self.features();
        let mut deeds = Vec::new();
        deeds.extend(features.drops.then_some(Deed::Remove));
        deeds.extend((features.copies && self.backup.is_some()).then_some(Deed::Restore));
        deeds.extend(features.edits.then_some(Deed::Edit));
        if deeds.is_empty() {
            return;
        }
        let deed = self.rng.pick(&deeds);
        let database = match &self.backup {
            Some(backup) if matches!(deed, Deed::Restore) => backup.database,
            _ => self.rng.pick(self.plan.machine.databases()),
        };
        let open = Open { schema: "main", database };
        let result = self.look_alone(open).and_then(|found| match deed {
            Deed::Remove => {
                self.remove(found);
                Ok(())
            }
            Deed::Restore => self.restore(found),
            Deed::Edit => self.edit(found),
        });
        self.note(&format!("{deed:?} {database}"), &result);
    }

    /// What a database holds that nobody else has open.
    fn look_alone(&self, open: Open) -> Result<Found, Error> {
        let connection = Connection::open(self.path(open.database))?;
        let found = self.begin(&connection, &[open], "BEGIN")?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(found[0])
    }

    /// Removes a database as programs do, file by file.
    fn remove(&mut self, found: Found) {
        let database = found.open.database;
        let Some(position) = self.node.database(database).and_then(|database| database.position(&self.node))
        else {
            return;
        };
        // A file without content is removed without a transaction.
        if position.checksum == Checksum::EMPTY || position == Position::ZERO || !self.exists(database) {
            return;
        }
        let parent = self.parent_of(&found);
        let leads_to = Position { txid: position.txid.next(), checksum: Checksum::EMPTY };
        let (machine, epoch) = (self.machine(), self.witness.epoch());
        let number = self.witness.ledger.borrow_mut().begin_drop(database, parent, leads_to, machine, epoch);
        let mut files = vec![database.to_owned(), format!("{database}-wal"), format!("{database}-journal")];
        if !self.is_primary() {
            // Where the database stays, so do the files beside it: the daemon has them open.
            files.truncate(1);
        } else if self.rng.percent(50) {
            files.rotate_left(1);
        }
        let mut outcome = Outcome::Unknown;
        for file in files {
            if !self.exists(&file) {
                continue;
            }
            let removed = Named::new(&self.node, &file).remove(&self.node, false);
            self.node.record.event(format_args!("program {} removes {file}: {removed:?}", self.number));
            if file == database {
                outcome = match removed {
                    _ if !self.is_alive() => Outcome::Unknown,
                    Ok(()) => Outcome::Durable,
                    Err(Errno::EACCES) => Outcome::Void,
                    Err(_) => Outcome::Unknown,
                };
            }
        }
        if outcome == Outcome::Durable {
            self.node.record.probe("database removed");
        }
        self.end(&[(found, Head { depth: 0, number })], outcome);
    }

    /// Copies a database to where it is no database of the cluster.
    fn back_up(&mut self) -> Result<(), Error> {
        let database = self.rng.pick(self.plan.machine.databases());
        let copy = self.copy_name();
        self.forget_copy(&copy);
        let connection = Connection::open(self.path(database))?;
        connection.execute("VACUUM INTO ?1", [self.path(&copy)])?;
        connection.close().map_err(|(_, error)| error)?;
        let connection = Connection::open(self.path(&copy))?;
        let head = content::head(&connection, "main")?;
        if head != Head::default() && self.is_alive() {
            self.backup = Some(Backup { database, head });
        }
        Ok(())
    }

    /// Copies a backup over the database, as `cp` does. It has one transaction more than when it was made.
    fn restore(&mut self, found: Found) -> Result<(), Error> {
        let (copy, backup) = (self.copy_name(), self.backup.take());
        let Some(backup) = backup.filter(|_| self.exists(&copy)) else { return Ok(()) };
        let (head, content) = self.change_copy(&found, &copy, backup.head)?;
        let write = |file: &Handle| {
            file.set_len(0)?;
            for (index, piece) in content.chunks(PIECE).enumerate() {
                file.write((index * PIECE) as u64, piece)?;
            }
            file.sync()
        };
        self.put(found, head, write, "database copied in");
        Ok(())
    }

    /// Writes some pages of the database without a lock or a journal: those that one transaction changes.
    fn edit(&mut self, found: Found) -> Result<(), Error> {
        let (copy, name) = (self.copy_name(), found.open.database);
        if found.head == Head::default() || self.exists(&format!("{name}-wal")) {
            return Ok(());
        }
        let Ok(before) = self.read_file(name) else { return Ok(()) };
        if self.plan.machine.passthrough && before.get(VERSIONS) == Some(&WAL_MODE) {
            // The kernel writes to the backing file then, and nobody learns of it.
            return Ok(());
        }
        self.backup = None;
        self.forget_copy(&copy);
        let written =
            Handle::open(self.node.clone(), &copy, true, false).and_then(|file| file.write(0, &before));
        if written.is_err() {
            return Ok(());
        }
        let (head, after) = self.change_copy(&found, &copy, found.head)?;
        let write = |file: &Handle| {
            for (index, piece) in after.chunks(512).enumerate() {
                let from = index * 512;
                if before.get(from..from + piece.len()) != Some(piece) {
                    file.write(from as u64, piece)?;
                }
            }
            if after.len() < before.len() {
                file.set_len(after.len() as u64)?;
            }
            file.sync()
        };
        self.put(found, head, write, "database edited");
        Ok(())
    }

    /// Makes one transaction in a copy that holds `base`. Returns what it holds then.
    fn change_copy(&mut self, found: &Found, copy: &str, base: Head) -> Result<(Head, Vec<u8>), Error> {
        let parent = self.parent_of(found);
        let (machine, epoch) = (self.machine(), self.witness.epoch());
        let head = self.witness.ledger.borrow_mut().begin(found.open.database, parent, base, machine, epoch);
        let changed = self.change_alone(copy, head);
        let content = changed.and_then(|()| self.read_file(copy).map_err(|_| Error::InvalidQuery));
        if content.is_err() {
            self.end(&[(*found, head)], Outcome::Void);
        }
        Ok((head, content?))
    }

    fn change_alone(&mut self, copy: &str, head: Head) -> Result<(), Error> {
        let connection = Connection::open(self.path(copy))?;
        // Of a copy in WAL mode there is no wal-index.
        connection.execute_batch("PRAGMA locking_mode = exclusive; BEGIN")?;
        for _ in 0..2 {
            self.change(&connection, "main", false, 0)?;
        }
        content::count(&connection, "main", head)?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)
    }

    /// Changes a database past SQLite.
    fn put(
        &self,
        found: Found,
        head: Head,
        write: impl Fn(&Handle) -> Result<(), Errno>,
        probe: &'static str,
    ) {
        let open = [found.open];
        self.expose(&open);
        let before = self.read_file(found.open.database);
        let file = Handle::open(self.node.clone(), found.open.database, true, false);
        let written = file.and_then(|file| {
            let written = write(&file);
            file.close();
            written
        });
        let is_untouched = self.is_alive() && before.is_ok() && before == self.read_file(found.open.database);
        let outcome = match written {
            _ if !self.is_alive() => Outcome::Unknown,
            Ok(()) => Outcome::Durable,
            Err(_) if is_untouched => Outcome::Void,
            Err(_) => Outcome::Unknown,
        };
        self.node.record.probe(match outcome {
            Outcome::Durable => probe,
            Outcome::Void => "change past SQLite refused",
            _ => "change past SQLite interrupted",
        });
        self.cover(&open, outcome != Outcome::Unknown);
        self.end(&[(found, head)], outcome);
    }

    fn read_file(&self, name: &str) -> Result<Vec<u8>, Errno> {
        let file = Handle::open(self.node.clone(), name, false, false)?;
        let mut content = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let read = file.read(0, &mut content);
        file.close();
        content.truncate(read?);
        Ok(content)
    }

    fn forget_copy(&self, copy: &str) {
        for file in [copy.to_owned(), format!("{copy}-journal"), format!("{copy}-wal")] {
            if self.exists(&file) {
                let removed = Named::new(&self.node, &file).remove(&self.node, false);
                self.node.record.event(format_args!("{file} removed: {removed:?}"));
            }
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.node.disk().len(&Named::new(&self.node, name).path()).is_some()
    }

    fn copy_name(&self) -> String {
        format!("copy{}.db", self.number)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.directory)
    }

    /// Whether the machine was the last one that became primary.
    pub(super) fn is_primary(&self) -> bool {
        self.witness.primary_of(self.witness.epoch()) == Some(self.machine())
    }
}
