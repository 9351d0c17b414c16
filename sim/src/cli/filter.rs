use std::collections::{BTreeMap, BTreeSet};

use litefs_sim::{Answer, Entry, Topic};

/// Which events a person gets to see.
#[derive(Debug)]
pub(crate) struct Filter {
    all: bool,
    /// By machine, what was complained of since something else happened there.
    told: BTreeMap<u8, BTreeSet<String>>,
}

impl Filter {
    /// Lets everything through, or what tells the story: faults, roles, commits, what fails.
    pub(crate) fn new(all: bool) -> Self {
        Self { all, told: BTreeMap::new() }
    }

    /// Whether an event is shown. Complaints that are repeated until something else happens are shown once.
    pub(crate) fn shows(&mut self, entry: &Entry) -> bool {
        if self.all {
            return true;
        }
        match entry.topic {
            Topic::Fault | Topic::Role(_) | Topic::Commit(_) | Topic::Apply(_) | Topic::Open(_) => {
                self.told.remove(&entry.machine);
                true
            }
            Topic::Note | Topic::Statement(Answer::Failed) => {
                self.told.entry(entry.machine).or_default().insert(entry.text.clone())
            }
            Topic::Violation => true,
            Topic::Lease(_)
            | Topic::Statement(Answer::Ok | Answer::Busy)
            | Topic::Sent(_)
            | Topic::Received(_)
            | Topic::Disk
            | Topic::Work => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use litefs_sim::{At, Standing};

    use super::*;

    fn entry(machine: u8, topic: Topic, text: &str) -> Entry {
        Entry { at_ns: 0, machine, topic, text: text.to_owned() }
    }

    #[test]
    fn story_without_the_machinery() {
        let at = At { database: "a.db".to_owned(), txid: 1 };
        let mut filter = Filter::new(false);
        for topic in [Topic::Fault, Topic::Role(Standing::Down), Topic::Commit(at), Topic::Violation] {
            assert!(filter.shows(&entry(1, topic, "")));
        }
        for topic in [Topic::Disk, Topic::Work, Topic::Statement(Answer::Ok), Topic::Statement(Answer::Busy)]
        {
            assert!(!filter.shows(&entry(1, topic.clone(), "")));
            assert!(Filter::new(true).shows(&entry(1, topic, "")));
        }
    }

    #[test]
    fn complaint_is_told_once_until_something_happens() {
        let mut filter = Filter::new(false);
        let failed = |machine, text| entry(machine, Topic::Statement(Answer::Failed), text);
        assert!(filter.shows(&failed(1, "full")));
        assert!(!filter.shows(&failed(1, "full")));
        assert!(filter.shows(&failed(1, "locked")));
        assert!(filter.shows(&failed(2, "full")));
        assert!(filter.shows(&entry(1, Topic::Role(Standing::Primary), "")));
        assert!(filter.shows(&failed(1, "full")));
        assert!(!filter.shows(&failed(2, "full")));
    }
}
