use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::coroutine;
use crate::node::Node;
use crate::rt;

/// Ends programs of a machine alone, if the plan says so, and what those leave that died by themselves.
pub(crate) async fn reap(node: Rc<Node>, kills: bool, over: Rc<Cell<bool>>) {
    while !over.get() {
        let wait = node.draw(|rng| rng.between(20, 600));
        for _ in 0..wait / 20 {
            rt::sleep(Duration::from_millis(20)).await;
            bury(&node).await;
        }
        let daemon = node.daemon();
        let programs = node.applications();
        if !kills || programs.is_empty() || over.get() || node.frozen_for().is_some() {
            continue;
        }
        let number = node.draw(|rng| rng.pick(&programs));
        // The kernel does not let a process end while a request of it is being carried out.
        while node.is_alive(daemon) && node.is_serving(number) {
            rt::sleep(Duration::from_millis(1)).await;
        }
        if node.is_alive(daemon) {
            let closed = node.end_process(number);
            tell(&node, closed).await;
        }
    }
}

/// Takes what the programs held that died in a commit.
async fn bury(node: &Rc<Node>) {
    let mut closed = Vec::new();
    for number in node.take_doomed() {
        closed.extend(node.end_process(number));
    }
    tell(node, closed).await;
}

async fn tell(node: &Rc<Node>, closed: Vec<Rc<crate::database::Database>>) {
    if closed.is_empty() {
        return;
    }
    let (this, daemon) = (Rc::clone(node), node.daemon());
    coroutine::run(node, daemon, move || {
        for database in closed {
            database.tell_closed(&this, daemon);
        }
    })
    .await;
}
