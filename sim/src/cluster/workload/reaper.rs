use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::coroutine;
use crate::node::Node;
use crate::rt;

/// Ends programs of a machine alone, now and then, until `over`.
pub(crate) async fn reap(node: Rc<Node>, over: Rc<Cell<bool>>) {
    while !over.get() {
        rt::sleep(Duration::from_millis(node.draw(|rng| rng.between(20, 600)))).await;
        let (daemon, programs) = (node.daemon(), node.applications());
        if programs.is_empty() || over.get() || node.frozen_for().is_some() {
            continue;
        }
        let number = node.draw(|rng| rng.pick(&programs));
        // The kernel does not let a process end while a request of it is being carried out.
        while node.is_alive(daemon) && node.is_serving(number) {
            rt::sleep(Duration::from_millis(1)).await;
        }
        if !node.is_alive(daemon) {
            continue;
        }
        let closed = node.end_process(number);
        let this = Rc::clone(&node);
        coroutine::run(&node, daemon, move || {
            for database in closed {
                database.tell_closed(&this, daemon);
            }
        })
        .await;
    }
}
