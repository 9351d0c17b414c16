use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// What a node logs.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Line>>>);

/// One line of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) message: String,
    /// Its field `error`.
    pub(crate) error: String,
}

impl Recorder {
    /// The first line so far for which `choose` returns something.
    pub(crate) fn find<T>(&self, choose: impl Fn(&Line) -> Option<T>) -> Option<T> {
        self.0.lock().unwrap().iter().find_map(choose)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = match field.name() {
            "message" => &mut self.message,
            "error" => &mut self.error,
            _ => return,
        };
        write!(text, "{value:?}").unwrap();
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
