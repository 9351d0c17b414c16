use litefs_core::{DatabaseName, PageSize, Position};
use litefs_fuse::store::{Facts, Watcher};
use litefs_net::Event;
use tokio::sync::broadcast;

/// Notes a subscriber may be behind before it has to look for itself.
const BACKLOG: usize = 1024;

/// Passes on what happens to the databases to whoever listens, without waiting for anyone.
#[derive(Debug)]
pub(super) struct Broadcaster {
    changes: broadcast::Sender<(DatabaseName, Position)>,
    events: broadcast::Sender<Event>,
}

impl Broadcaster {
    pub(super) fn new() -> Self {
        Self { changes: broadcast::Sender::new(BACKLOG), events: broadcast::Sender::new(BACKLOG) }
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<(DatabaseName, Position)> {
        self.changes.subscribe()
    }

    pub(super) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listening is not an error.
        let _ = self.events.send(event);
    }
}

impl Watcher for Broadcaster {
    fn committed(&self, name: &DatabaseName, facts: Facts) {
        let Ok(page_size) = PageSize::new(facts.page_size).or(Ok::<_, ()>(PageSize::MIN)) else { return };
        self.tell(Event::Transaction {
            database: name.clone(),
            position: facts.position,
            page_size,
            commit: facts.page_count,
            timestamp_ms: facts.timestamp_ms,
        });
    }

    fn durable(&self, name: &DatabaseName, position: Position) {
        let _ = self.changes.send((name.clone(), position));
    }

    fn is_waiting(&self) -> bool {
        self.changes.receiver_count() > 0
    }
}
