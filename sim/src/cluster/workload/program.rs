use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rusqlite::{Error, ErrorCode};

use super::super::plan::Plan;
use super::super::witness::Witness;
use super::files::Backup;
use super::session::Session;
use super::{Doors, Features};
use crate::coroutine;
use crate::node::{Node, Process};
use crate::rng::Rng;
use crate::rt;
use crate::topic::{Answer, Topic};

/// What is added to the number of a program when it is started again after it was killed alone.
const RESTARTED: u64 = 1000;

/// A program on one machine with some connections, doing what its random numbers say: on any machine, primary or not.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) number: u64,
    pub(super) node: Rc<Node>,
    pub(super) directory: String,
    pub(super) plan: Rc<Plan>,
    pub(super) witness: Rc<Witness>,
    pub(super) doors: Rc<Doors>,
    pub(super) rng: Rng,
    /// As what the current step runs.
    pub(super) process: Option<Process>,
    pub(super) sessions: Vec<Session>,
    /// A copy of a database, for later.
    pub(super) backup: Option<Backup>,
    /// For how many steps it waits for others to close their databases.
    pub(super) waits_for_others: Option<u64>,
    /// How often it was killed alone.
    kills: u64,
}

impl Program {
    pub(crate) fn new(
        number: u64,
        node: Rc<Node>,
        directory: String,
        plan: Rc<Plan>,
        witness: Rc<Witness>,
        doors: Rc<Doors>,
        rng: Rng,
    ) -> Self {
        Self {
            number,
            node,
            directory,
            plan,
            witness,
            doors,
            rng,
            process: None,
            sessions: Vec::new(),
            backup: None,
            waits_for_others: None,
            kills: 0,
        }
    }

    /// Works until `over`, starting again whenever it was killed or its machine is back.
    pub(crate) async fn live(mut self, over: Rc<Cell<bool>>) {
        while !over.get() && !self.node.record.is_violated() {
            let process =
                self.process.unwrap_or_else(|| self.node.process(self.number + RESTARTED * self.kills));
            let alive = self.node.is_alive(process);
            if !alive || self.node.databases().is_empty() || self.doors.are_closed_to(self.number) {
                if !alive && self.node.generation() == process.generation() {
                    self.node.record.probe("program started again");
                    self.kills += 1;
                }
                self = self.disconnect().await;
                rt::sleep(Duration::from_millis(20)).await;
                continue;
            }
            self.process = Some(process);
            self = coroutine::run(&Rc::clone(&self.node), process, move || {
                self.step();
                self
            })
            .await;
            let think = self.rng.between(1, 40);
            rt::sleep(Duration::from_millis(think)).await;
        }
        drop(self.disconnect().await);
    }

    /// Ends all connections: in order, or by force if its process is dead.
    async fn disconnect(mut self) -> Self {
        self.let_others_in();
        let Some(process) = self.process.take() else { return self };
        coroutine::run(&Rc::clone(&self.node), process, move || {
            for session in std::mem::take(&mut self.sessions) {
                self.close(session, "disconnect");
            }
            self
        })
        .await
    }

    /// Closes a connection.
    pub(super) fn close(&self, mut session: Session, step: &str) {
        if let Some(rolled_back) = session.roll_back() {
            self.note(step, &rolled_back);
        }
        let closed = session.connection.close().map_err(|(_, error)| error);
        self.note(step, &closed);
    }

    pub(super) fn features(&self) -> &Features {
        &self.plan.workload
    }

    pub(super) fn machine(&self) -> u8 {
        self.node.record.machine()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process.is_some_and(|process| self.node.is_alive(process))
    }

    pub(super) fn violation(&self, what: &str) {
        self.node.record.violation(format!("program {} {what}", self.number));
    }

    /// Records what a step came to. That the database is damaged is never an answer.
    pub(super) fn note(&self, step: &str, result: &Result<(), Error>) {
        let text = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        let topic = Topic::Statement(Answer::of(result));
        self.node.record.event_of(topic, format_args!("program {} {step}: {text}", self.number));
        self.node.record.probe(match result {
            Ok(()) => "statement ok",
            Err(_) if is_busy(result) => "statement busy",
            Err(_) => "statement failed",
        });
        let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        if self.is_alive()
            && let Err(error) = result
            && error.sqlite_error_code().is_some_and(|code| damage.contains(&code))
            && self.witness.ledger.borrow().are_all_whole()
        {
            self.violation(&format!("{step}: {text}"));
        }
    }
}

pub(super) fn is_busy(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
}
