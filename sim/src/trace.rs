use std::collections::VecDeque;
use std::fmt;

use crate::topic::Topic;

/// The machine that the lease service of a cluster runs on.
pub const LEASE_SERVICE: u8 = 200;
/// How many of the latest events a trace keeps as text.
const KEPT: usize = 400;

/// Everything that happened in a run, in order, as one hash: two runs are the same if their hashes are.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    latest: VecDeque<Entry>,
    keep: Keep,
}

/// One event of a trace.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Virtual nanoseconds since the start of the run.
    pub at_ns: u64,
    /// The machine it happened on; 0 for none of them, [`LEASE_SERVICE`] for that of the lease service.
    pub machine: u8,
    /// What it is about.
    pub topic: Topic,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}.{:06} ", self.at_ns / 1_000_000, self.at_ns % 1_000_000)?;
        if self.machine > 0 {
            write!(f, "{} ", lane_name(self.machine))?;
        }
        f.write_str(&self.text)
    }
}

/// How a machine is called in a trace.
pub fn lane_name(machine: u8) -> String {
    match machine {
        0 => "cluster".to_owned(),
        LEASE_SERVICE => "lease service".to_owned(),
        number => format!("n{number}"),
    }
}

/// What a trace does with events.
pub enum Keep {
    /// Keeps the latest.
    Latest,
    /// Keeps the latest, and tells all of them as they happen.
    Told(Box<dyn FnMut(&Entry) + Send>),
    /// Keeps all.
    All,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latest => "Latest",
            Self::Told(_) => "Told",
            Self::All => "All",
        })
    }
}

impl Trace {
    /// An empty trace.
    pub(crate) fn new(keep: Keep) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, latest: VecDeque::new(), keep }
    }

    /// Adds an event on a machine at `at_ns` of virtual time.
    pub(crate) fn record(&mut self, at_ns: u64, machine: u8, topic: Topic, event: fmt::Arguments<'_>) {
        let entry = Entry { at_ns, machine, topic, text: event.to_string() };
        // One after the other: joined with each other, a time and a text could cancel out.
        let hash = hash_bytes(self.hash ^ u64::from(machine), &at_ns.to_le_bytes());
        self.hash = hash_bytes(hash, entry.text.as_bytes());
        self.events += 1;
        if let Keep::Told(tell) = &mut self.keep {
            tell(&entry);
        }
        if !matches!(self.keep, Keep::All) && self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(entry);
    }

    /// The hash of all events so far.
    pub(crate) fn hash(&self) -> TraceHash {
        TraceHash(self.hash)
    }

    /// The number of events so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The events that were kept, oldest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.latest.iter()
    }
}

/// The hash of a run. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceHash(u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A short name for a piece of data in a trace.
pub(crate) fn fingerprint(data: &[u8]) -> TraceHash {
    TraceHash(hash_bytes(data.len() as u64, data))
}

/// Eight bytes a step: multiply and fold. Not for adversaries.
fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let product = u128::from(hash ^ u64::from_le_bytes(word)) * 0x9e37_79b9_7f4a_7c15_u128;
        hash = (product as u64) ^ ((product >> 64) as u64) ^ 0x5555;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_every_event_and_its_time() {
        let trace = |events: &[(u64, &str)]| {
            let mut trace = Trace::new(Keep::Latest);
            for (now, event) in events {
                trace.record(*now, 1, Topic::Work, format_args!("{event}"));
            }
            trace.hash()
        };
        assert_eq!(trace(&[(1, "a"), (2, "b")]), trace(&[(1, "a"), (2, "b")]));
        assert_ne!(trace(&[(1, "a"), (2, "b")]), trace(&[(2, "b"), (1, "a")]));
        assert_ne!(trace(&[(1, "a")]), trace(&[(2, "a")]));
        assert_eq!(trace(&[(1, "a")]).to_string().len(), 16);
    }
}
