use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use litefs_core::apply::Applier;
use litefs_core::database::Request;
use litefs_core::{Errno, File, Position};

use crate::coroutine;
use crate::engine::Engine;
use crate::locks::{Holder, Kind, Locks, Unit};
use crate::machine_disk::Path;
use crate::node::{Node, Process};
use crate::shm::Shm;
use crate::system::SimSystem;
use crate::topic::Topic;

/// The daemon, as a holder of locks.
const DAEMON: Holder = 0;

/// The number of the daemon's process.
const DAEMON_PROCESS: u64 = 0;

/// The slot that a writer of the WAL locks (SQLite's WAL-mode file format 2.3.1).
const WRITE_SLOT: std::ops::Range<usize> = 0..1;

/// One database in the mount of a node, for one life of the node: what the kernel knows of it, and what is behind.
#[derive(Debug)]
pub(crate) struct Database {
    name: Rc<str>,
    /// Absent while a statement is in the middle of a request.
    engine: RefCell<Option<Engine>>,
    /// The process whose request is being carried out.
    served: Cell<Option<u64>>,
    /// The daemon gave the database up until the node is restarted.
    is_stopped: Cell<bool>,
    /// The locks on the database file and on the wal-index.
    pub(crate) locks: RefCell<Locks>,
    shm: RefCell<Option<Rc<Shm>>>,
    /// The process of each open handle of the database file.
    open: RefCell<BTreeMap<Holder, u64>>,
    next_holder: Cell<Holder>,
    passthrough_allowed: bool,
    passthrough: Cell<bool>,
    /// Applies what comes from other machines. Absent while it is at work, or in a run of one machine.
    applier: RefCell<Option<Applier<SimSystem>>>,
}

impl Database {
    /// A database that nobody has opened.
    pub(crate) fn new(name: Rc<str>, engine: Engine, passthrough_allowed: bool) -> Self {
        Self {
            name,
            is_stopped: Cell::new(engine.stopped().is_some()),
            engine: RefCell::new(Some(engine)),
            served: Cell::default(),
            locks: RefCell::default(),
            shm: RefCell::default(),
            open: RefCell::default(),
            next_holder: Cell::new(1),
            passthrough_allowed,
            passthrough: Cell::new(false),
            applier: RefCell::default(),
        }
    }

    /// Lets transactions of other machines be applied.
    pub(crate) fn equip(self: &Rc<Self>, node: &Rc<Node>) {
        self.applier.replace(Some(Applier::new(SimSystem::new(node, self))));
    }

    /// The daemon is gone, and what it held goes.
    pub(crate) fn unequip(&self) {
        drop(self.applier.take());
    }

    /// Does something with the applier as soon as nobody else does.
    pub(crate) fn with_applier<T>(
        &self,
        node: &Node,
        daemon: Process,
        work: impl FnOnce(&mut Applier<SimSystem>) -> T,
    ) -> Result<T, Errno> {
        loop {
            if !node.is_alive(daemon) {
                return Err(Errno::EIO);
            }
            let Some(mut applier) = self.applier.take() else {
                if !coroutine::pause(Duration::from_millis(1)) {
                    return Err(Errno::EDEADLK);
                }
                continue;
            };
            let result = work(&mut applier);
            if node.is_alive(daemon) {
                self.applier.replace(Some(applier));
            }
            return Ok(result);
        }
    }

    /// As [`Self::with_applier`], unless somebody else does something with it now.
    pub(crate) fn with_idle_applier<T>(
        &self,
        node: &Node,
        daemon: Process,
        work: impl FnOnce(&mut Applier<SimSystem>) -> T,
    ) -> Option<T> {
        let idle = self.applier.borrow().is_some();
        idle.then(|| self.with_applier(node, daemon, work).ok()).flatten()
    }

    /// The name of the database file.
    pub(crate) fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// Where `file` is on the node's disk.
    pub(crate) fn path(&self, file: File) -> Path {
        Path::Governed(Rc::clone(&self.name), file)
    }

    /// Whether writes of the database file go past the daemon.
    pub(crate) fn is_passthrough(&self) -> bool {
        self.passthrough.get()
    }

    /// Where it is, unless nothing is under test or the daemon is dead.
    pub(crate) fn position(&self, node: &Node) -> Option<Position> {
        self.with_engine(node, node.daemon(), |engine| engine.position()).ok().flatten()
    }

    /// Whether the daemon gave the database up until the node is restarted.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Whether a request of this process is being carried out. The kernel does not let a process end before that.
    pub(crate) fn is_serving(&self, number: u64) -> bool {
        self.served.get() == Some(number)
    }

    /// Hands an operation to the daemon and waits until it is carried out.
    pub(crate) fn request(&self, node: &Node, process: Process, request: Request<'_>) -> Result<(), Errno> {
        let committed = self.with_engine(node, process, |engine| {
            let before = engine.position();
            node.begins(&self.name);
            let outcome = engine.request(request, node.now());
            let after = engine.position();
            if let (Some(before), Some(after)) = (before, after)
                && before != after
            {
                node.committed(&self.name, before, after);
            }
            outcome.map(|()| after != before)
        })??;
        if matches!(request, Request::Remove(File::Database)) {
            self.part_all();
        }
        if committed && matches!(request, Request::Write { file: File::Wal, .. }) {
            node.maybe_die_in_commit(process);
        }
        Ok(())
    }

    /// Creates a file, unless another process was faster: the kernel lets one at a time create in a directory.
    pub(crate) fn create(&self, node: &Node, process: Process, file: File) -> Result<(), Errno> {
        self.with_engine(node, process, |engine| {
            let existing = node.disk().len(&self.path(file));
            match existing {
                None => engine.request(Request::Create(file), node.now()),
                Some(_) => Ok(()),
            }
        })?
    }

    /// Does something with the engine as soon as nobody else does.
    pub(crate) fn with_engine<T>(
        &self,
        node: &Node,
        process: Process,
        work: impl FnOnce(&mut Engine) -> T,
    ) -> Result<T, Errno> {
        loop {
            if !node.is_alive(process) {
                return Err(Errno::EIO);
            }
            let Some(mut engine) = self.engine.take() else {
                if !coroutine::pause(Duration::from_millis(1)) {
                    return Err(Errno::EDEADLK);
                }
                continue;
            };
            self.served.set(Some(process.number()));
            let result = work(&mut engine);
            self.served.set(None);
            if let Some(reason) = engine.stopped().filter(|_| !self.is_stopped.replace(true)) {
                node.record.event_of(Topic::Note, format_args!("{} stops: {reason}", self.name));
            }
            self.engine.replace(Some(engine));
            return Ok(result);
        }
    }

    /// A new handle of the database file. How the first one is opened holds until the last one is closed.
    pub(crate) fn open(&self, node: &Node, process: Process) -> Result<Holder, Errno> {
        self.with_engine(node, process, |engine| {
            if self.open.borrow().is_empty() {
                let mut versions = [0; 2];
                let read = node.disk().read_at(&self.path(File::Database), 18, &mut versions);
                self.passthrough.set(self.passthrough_allowed && read == 2 && versions == [2, 2]);
                engine.set_unseen_writes(self.passthrough.get());
            }
            let holder = self.new_holder();
            self.open.borrow_mut().insert(holder, process.number());
            holder
        })
    }

    /// The number of a new holder of locks.
    pub(crate) fn new_holder(&self) -> Holder {
        let holder = self.next_holder.get();
        self.next_holder.set(holder + 1);
        holder
    }

    /// A handle of the database file is closed.
    pub(crate) fn close(&self, node: &Node, process: Process, holder: Holder) {
        let was_open = self.open.borrow().contains_key(&holder);
        self.forget(holder);
        if was_open && self.open.borrow().is_empty() {
            self.tell_closed(node, process);
        }
    }

    /// Tells the daemon that nobody has the database open any more.
    pub(crate) fn tell_closed(&self, node: &Node, process: Process) {
        let closed = self.request(node, process, Request::Closed);
        node.record.event(format_args!("{} closed {closed:?}", self.name));
    }

    /// Publishes what is committed in the WAL and not in the wal-index, because its writer died in between. Here that is
    /// left to SQLite: without a valid header, whoever reads next rebuilds the wal-index from the WAL.
    pub(crate) fn publish_in_doubt(&self, node: &Node, daemon: Process) {
        let in_doubt = self.with_engine(node, daemon, Engine::take_in_doubt);
        if in_doubt != Ok(true) {
            return;
        }
        node.record.probe("transaction in doubt published");
        let write = Unit::slots(WRITE_SLOT);
        while node.is_alive(daemon) && !self.locks.borrow_mut().try_lock(DAEMON, write.clone(), Kind::Write) {
            if !coroutine::pause(Duration::from_millis(1)) {
                return;
            }
        }
        if let Some(shm) = self.shm.borrow().as_ref() {
            shm.invalidate();
        }
        self.locks.borrow_mut().unlock(DAEMON, write);
        node.record.event_of(Topic::Note, format_args!("{} published what was in doubt", self.name));
    }

    /// Takes the locks and handles of a process that ended. Returns whether the database was open and is not any more;
    /// then the daemon has to be told.
    pub(crate) fn end_process(&self, number: u64) -> bool {
        let holders: Vec<Holder> = self
            .open
            .borrow()
            .iter()
            .filter(|(_, process)| **process == number)
            .map(|(holder, _)| *holder)
            .collect();
        for holder in &holders {
            self.forget(*holder);
        }
        !holders.is_empty() && self.open.borrow().is_empty()
    }

    /// The database file was removed. The programs that have it open have another one than those that come now.
    pub(crate) fn part_all(&self) {
        let programs: Vec<Holder> = self
            .open
            .borrow()
            .iter()
            .filter(|(_, process)| **process != DAEMON_PROCESS)
            .map(|(holder, _)| *holder)
            .collect();
        for holder in programs {
            self.forget(holder);
        }
        self.remove_shm();
    }

    /// The processes that have it open, without the daemon.
    pub(crate) fn applications(&self) -> Vec<u64> {
        self.open.borrow().values().copied().filter(|process| *process != DAEMON_PROCESS).collect()
    }

    /// Maps the wal-index for a program; `None` while somebody is setting it up. Whoever maps one that nobody else has
    /// mapped starts a new one.
    pub(crate) fn map_shm(&self, holder: Holder) -> Option<Rc<Shm>> {
        let mut locks = self.locks.borrow_mut();
        if !locks.is_held(Unit::SWITCH) {
            self.shm.take();
        }
        let shm = || Rc::clone(self.shm.borrow_mut().get_or_insert_default());
        locks.try_lock(holder, [Unit::SWITCH], Kind::Read).then(shm)
    }

    /// The wal-index, if there is one.
    pub(crate) fn shm(&self) -> Option<Rc<Shm>> {
        self.shm.borrow().clone()
    }

    /// Somebody gave up the wal-index.
    pub(crate) fn unmapped_shm(&self, holder: Holder) {
        self.locks.borrow_mut().unlock(holder, [Unit::SWITCH]);
    }

    /// Makes a wal-index where there is none.
    pub(crate) fn create_shm(&self) {
        self.shm.borrow_mut().get_or_insert_default();
    }

    /// Removes the wal-index. Those who have it mapped keep what they have.
    pub(crate) fn remove_shm(&self) {
        self.shm.take();
    }

    /// An open file ends without the daemon hearing of it.
    pub(crate) fn forget(&self, holder: Holder) {
        self.open.borrow_mut().remove(&holder);
        self.locks.borrow_mut().release_all(holder);
    }
}
