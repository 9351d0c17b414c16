use std::io::IsTerminal;

use litefs_sim::{Entry, LEASE_SERVICE, Topic, lane_name};

/// Colours of machines, which all terminals have, and which are no warning.
const COLOURS: [&str; 5] = ["36", "32", "35", "33", "34"];
const RED: &str = "1;31";
const BOLD: &str = "1";

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    coloured: bool,
}

impl Paint {
    /// Coloured on a terminal, unless the environment says otherwise.
    pub(crate) fn of_stdout() -> Self {
        Self { coloured: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// An event: time in milliseconds, machine, what it is about, and what happened.
    pub(crate) fn event(self, entry: &Entry) -> String {
        let (ms, rest) = (entry.at_ns / 1_000_000, entry.at_ns % 1_000_000 / 1000);
        let lane = if entry.machine == LEASE_SERVICE { "lease".to_owned() } else { lane_name(entry.machine) };
        let (name, text) = (entry.topic.name(), &entry.text);
        let line = format!("{ms:>6}.{rest:03}  {lane:<7}  {name:<9}  {text}");
        match entry.topic {
            Topic::Violation => self.wrap(RED, &line),
            Topic::Fault => self.wrap(BOLD, &line),
            _ if entry.machine == 0 || entry.machine == LEASE_SERVICE => line,
            _ => self.wrap(COLOURS[usize::from(entry.machine - 1) % COLOURS.len()], &line),
        }
    }

    /// Something bad.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap(RED, text)
    }

    fn wrap(self, colour: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_time_machine_and_text_in_columns() {
        let entry = |machine, topic| Entry { at_ns: 1_234_567_890, machine, topic, text: "x".to_owned() };
        let plain = Paint { coloured: false };
        assert_eq!(plain.event(&entry(2, Topic::Note)), "  1234.567  n2       note       x");
        assert_eq!(plain.event(&entry(200, Topic::Fault)), "  1234.567  lease    fault      x");
        let coloured = Paint { coloured: true }.event(&entry(1, Topic::Violation));
        assert!(coloured.starts_with("\x1b[1;31m") && coloured.ends_with("\x1b[0m"), "{coloured}");
    }
}
