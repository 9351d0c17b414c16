use std::collections::BTreeMap;

use litefs_sim::{Entry, Message, Topic};
use serde::Serialize;

/// A message from its sender to its receiver.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    from: u8,
    to: u8,
    /// What it is.
    what: &'static str,
    /// When it was sent.
    at: u64,
    /// When it arrived, if it did.
    arrived: Option<u64>,
    /// The event in which it was sent.
    event: usize,
}

/// Every message that was sent. A receipt belongs to the latest message of its sort that may be meant.
pub(crate) fn lines<'a>(events: impl Iterator<Item = &'a Entry>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open: BTreeMap<(u8, u8, &'static str, u64), usize> = BTreeMap::new();
    for (index, entry) in events.enumerate() {
        match &entry.topic {
            Topic::Sent(message) => {
                open.insert(key(message), lines.len());
                let (what, at) = (message.letter.name(), entry.at_ns);
                lines.push(Line {
                    from: message.from,
                    to: message.to,
                    what,
                    at,
                    arrived: None,
                    event: index,
                });
            }
            Topic::Received(message) => {
                // The network may deliver a datagram twice: only the first is a line.
                if let Some(sent) = open.remove(&key(message)) {
                    lines[sent].arrived = Some(entry.at_ns);
                }
            }
            _ => {}
        }
    }
    lines
}

fn key(message: &Message) -> (u8, u8, &'static str, u64) {
    (message.from, message.to, message.letter.name(), message.number)
}

#[cfg(test)]
mod tests {
    use litefs_sim::Letter;

    use super::*;

    #[test]
    fn receipts_find_their_message() {
        let message = |to, number| Message { from: 1, to, letter: Letter::Connect, number };
        let entry = |at_ns, topic| Entry { at_ns, machine: 1, topic, text: String::new() };
        let events = [
            entry(1, Topic::Sent(message(2, 0))),
            entry(2, Topic::Sent(message(3, 0))),
            entry(3, Topic::Sent(message(2, 0))),
            entry(4, Topic::Received(message(2, 0))),
            entry(5, Topic::Received(message(2, 0))),
            entry(6, Topic::Received(message(3, 7))),
        ];
        let lines = lines(events.iter());
        let arrived: Vec<_> = lines.iter().map(|line| (line.to, line.at, line.arrived)).collect();
        assert_eq!(arrived, [(2, 1, None), (3, 2, None), (2, 3, Some(4))]);
    }
}
