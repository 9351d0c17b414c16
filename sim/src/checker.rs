//! What must hold whenever a node comes back.

use std::cell::RefCell;
use std::rc::Rc;

use litefs_core::{PageSize, Position};
use rusqlite::Connection;

use crate::content_check::{self, Seen};
use crate::database::Database;
use crate::engine::Engine;
use crate::faults::Faults;
use crate::history::History;
use crate::node::Node;
use crate::plan::{Crash, Plan, UnderTest};
use crate::replay::{self, Image};
use crate::rng::Rng;
use crate::world::Mounted;

/// Brings a node up again and checks every promise about what it then holds. `ended` says how its last life ended,
/// `None` meaning in order.
pub(crate) fn recover_and_check(
    node: &Rc<Node>,
    plan: &Plan,
    history: &RefCell<History>,
    ended: Option<Crash>,
    rng: &mut Rng,
) {
    let before = node.disk().clone();
    let fork = || {
        let seed = node.draw(Rng::next_u64);
        Rc::new(Node::with_disk(node.record.clone(), before.clone(), Rng::new(seed)))
    };
    let Some(positions) = open_all(node, plan) else { return };
    let operations = node.operations().0;
    if plan.under_test == UnderTest::Machine && operations > 0 {
        for _ in 0..2 {
            let other = fork();
            recover_with_crashes(&other, plan, ended.unwrap_or(Crash::Kill), operations, &positions, rng);
        }
    }
    if plan.under_test == UnderTest::Machine {
        let again = Rc::new(Node::with_disk(node.record.clone(), node.disk().clone(), Rng::new(1)));
        expect_positions(&again, "opened a second time", open_all(&again, plan), &positions);
    }
    for (database, position) in plan.databases().iter().zip(&positions) {
        check_database(node, plan, history, ended, database, *position);
    }
}

/// Opens all databases of the node. Returns their positions, zero where nothing is under test.
pub(crate) fn open_all(node: &Rc<Node>, plan: &Plan) -> Option<Vec<Position>> {
    let mut positions = Vec::new();
    for name in plan.databases() {
        let name: Rc<str> = (*name).into();
        match Engine::open(node, &name, plan) {
            Ok(engine) => {
                positions.push(engine.position().unwrap_or(Position::ZERO));
                node.attach(Rc::new(Database::new(name, engine, plan.passthrough)));
            }
            Err(error) => {
                if node.is_alive(node.daemon()) && node.operations().1 == 0 {
                    node.record.violation(format!("{name} cannot be opened: {error}"));
                }
                return None;
            }
        }
    }
    Some(positions)
}

/// Crashes a node inside its recovery, up to three times, and expects the same result in the end.
fn recover_with_crashes(
    node: &Rc<Node>,
    plan: &Plan,
    crash: Crash,
    operations: u64,
    expected: &[Position],
    rng: &mut Rng,
) {
    for _ in 0..rng.between(1, 3) {
        node.set_faults(Faults::crash_at(rng.between(1, operations), crash));
        let generation = node.generation();
        // A recovery that the crash does not reach is one more recovery.
        let _interrupted: Option<Vec<Position>> = open_quietly(node, plan, generation);
        node.set_faults(Faults::default());
        if node.generation() > generation {
            node.record.probe("crash inside recovery");
        }
    }
    expect_positions(node, "recovered after a crash inside recovery", open_all(node, plan), expected);
}

/// Opens all databases of a node that may crash meanwhile.
fn open_quietly(node: &Rc<Node>, plan: &Plan, generation: u64) -> Option<Vec<Position>> {
    for name in plan.databases() {
        let name: Rc<str> = (*name).into();
        let opened = Engine::open(node, &name, plan);
        if let Err(error) = &opened
            && node.generation() == generation
        {
            node.record.violation(format!("{name} cannot be opened: {error}"));
        }
        opened.ok()?;
    }
    None
}

fn expect_positions(node: &Node, when: &str, found: Option<Vec<Position>>, expected: &[Position]) {
    if let Some(found) = found
        && found != expected
    {
        node.record.violation(format!("{when}, the databases are at {found:?} instead of {expected:?}"));
    }
}

/// Checks one database of a node that nothing runs on.
fn check_database(
    node: &Rc<Node>,
    plan: &Plan,
    history: &RefCell<History>,
    ended: Option<Crash>,
    name: &'static str,
    position: Position,
) {
    let fail = |what: String| node.record.violation(format!("{name} after {ended:?}: {what}"));
    let (seen, image) = match read_back(node, plan, name) {
        Ok(found) => found,
        Err(error) => return fail(format!("cannot be read: {error}")),
    };
    if let Some(wrong) = seen.wrong {
        fail(wrong);
    }
    if let Err(wrong) = history.borrow_mut().check_now(name, &seen.numbers, ended) {
        fail(wrong);
    }
    if plan.under_test == UnderTest::Nothing {
        return;
    }
    let found = image.checksum();
    if found != position.checksum && position != Position::ZERO {
        fail(format!("position {position}, but the database has checksum {found}"));
    }
    let mut numbers = std::collections::BTreeMap::new();
    let database: Rc<str> = name.into();
    let archived = node.archived(&database);
    let replayed = replay::replay(&node.disk(), &database, &archived, &mut |at, image| {
        let seen = match look_at_image(image, at == position || at.txid.get() % 8 == 0) {
            Ok(seen) => seen,
            Err(error) => return fail(format!("log at {at}: cannot be read: {error}")),
        };
        if let Some(wrong) = seen.wrong {
            fail(format!("log at {at}: {wrong}"));
        }
        if let Err(wrong) = history.borrow().check_past(name, &seen.numbers) {
            fail(format!("log at {at}: {wrong}"));
        }
        for (client, number) in &seen.numbers {
            if numbers.insert(*client, *number).is_some_and(|earlier| earlier > *number) {
                fail(format!("log at {at}: client {client} goes back to transaction {number}"));
            }
        }
    });
    match replayed {
        Err(wrong) => fail(wrong),
        Ok((end, _)) if end != position => fail(format!("position {position}, but the log ends at {end}")),
        Ok((_, replayed)) if replayed.bytes != image.bytes => {
            let page = replayed.page_size.map_or(1, PageSize::bytes);
            let differing = replayed.bytes.chunks(page).zip(image.bytes.chunks(page));
            let first = differing.take_while(|(one, other)| one == other).count() + 1;
            fail(format!(
                "the log gives {} bytes, the database has {}; page {first} is the first that differs",
                replayed.bytes.len(),
                image.bytes.len()
            ));
        }
        Ok(_) => {}
    }
}

/// Reads a database through SQLite, on a copy of the node so that reading changes nothing.
fn read_back(node: &Rc<Node>, plan: &Plan, name: &str) -> Result<(Seen, Image), rusqlite::Error> {
    let copy = Rc::new(Node::with_disk(node.record.clone(), node.disk().clone(), Rng::new(2)));
    if open_all(&copy, plan).is_none() {
        return Ok((Seen::default(), Image::default()));
    }
    let mounted = Mounted::new("check", copy);
    let mut connection = Connection::open(mounted.path(name))?;
    let seen = content_check::look(&connection, "main", true)?;
    let bytes = connection.serialize("main")?.to_vec();
    let page_size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let page_size = PageSize::new(page_size).ok().filter(|_| !bytes.is_empty());
    Ok((seen, Image { bytes, page_size }))
}

/// Looks at a database in memory.
fn look_at_image(image: &Image, thorough: bool) -> Result<Seen, rusqlite::Error> {
    if image.bytes.is_empty() {
        return Ok(Seen::default());
    }
    let mut bytes = image.bytes.clone();
    // SQLite refuses a database in memory that says it has a WAL (SQLite file format 1.3.3).
    bytes[18..20].fill(1);
    let mut connection = Connection::open_in_memory()?;
    let len = bytes.len();
    connection.deserialize_read_exact("main", bytes.as_slice(), len, true)?;
    content_check::look(&connection, "main", thorough)
}
