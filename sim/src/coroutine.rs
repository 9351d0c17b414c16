//! SQLite statements on stacks of their own, so that they can wait in the middle of a disk operation.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::node::{Node, Process};
use crate::rt;

type Wait = Duration;

thread_local! {
    /// What the statement that runs now yields through; null outside of one.
    static CURRENT: Cell<*const Yielder<(), Wait>> = const { Cell::new(ptr::null()) };
    /// The process that the statement that runs now belongs to.
    static PROCESS: Cell<Option<Process>> = const { Cell::new(None) };
}

/// Runs `work` for `process`, other tasks taking turns with it wherever it calls [`pause`].
pub(crate) async fn run<R: 'static>(
    node: &Rc<Node>,
    process: Process,
    work: impl FnOnce() -> R + 'static,
) -> R {
    let yielder: Rc<Cell<*const Yielder<(), Wait>>> = Rc::new(Cell::new(ptr::null()));
    let inside = Rc::clone(&yielder);
    let coroutine = Coroutine::new(move |yielder: &Yielder<(), Wait>, ()| {
        inside.set(yielder);
        CURRENT.set(yielder);
        work()
    });
    let mut statement = Statement { coroutine, yielder, node: Rc::clone(node), process };
    loop {
        match statement.resume() {
            CoroutineResult::Return(value) => return value,
            CoroutineResult::Yield(wait) => rt::sleep(wait).await,
        }
    }
}

/// Lets other tasks run for `wait` of virtual time. Returns whether it could: outside of [`run`] nothing can wait.
pub(crate) fn pause(wait: Duration) -> bool {
    let current = CURRENT.get();
    if current.is_null() {
        return false;
    }
    // SAFETY: `CURRENT` is not null only while the coroutine that owns the yielder runs (`Statement::resume` clears it
    // when the coroutine stops running), and the yielder lives on that coroutine's stack until its end.
    unsafe { (*current).suspend(wait) };
    true
}

/// The process that what runs now belongs to, if it is in [`run`].
pub(crate) fn process() -> Option<Process> {
    PROCESS.get()
}

struct Statement<R: 'static> {
    coroutine: Coroutine<(), Wait, R>,
    yielder: Rc<Cell<*const Yielder<(), Wait>>>,
    node: Rc<Node>,
    process: Process,
}

impl<R: 'static> Statement<R> {
    fn resume(&mut self) -> CoroutineResult<Wait, R> {
        CURRENT.set(self.yielder.get());
        let result = self.resume_without_waiting();
        CURRENT.set(ptr::null());
        result
    }

    fn resume_without_waiting(&mut self) -> CoroutineResult<Wait, R> {
        self.node.keep_shm_if_dead(self.process);
        PROCESS.set(Some(self.process));
        let result = self.coroutine.resume(());
        PROCESS.set(None);
        self.node.restore_shm();
        result
    }
}

impl<R: 'static> Drop for Statement<R> {
    /// A statement that is dropped while it waits runs to its end without waiting again: frames of C must not be
    /// unwound. Whoever drops it has made its operations fail.
    fn drop(&mut self) {
        while self.coroutine.started() && !self.coroutine.done() {
            let _: CoroutineResult<Wait, R> = self.resume_without_waiting();
        }
    }
}
