/// Whether transactions may be committed on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Not here: this node follows a primary, or has none.
    ReadOnly,
    /// Until this moment of the monotonic clock, in nanoseconds.
    Until(u64),
    /// Always: a lease that cannot expire.
    Forever,
}

impl Authority {
    /// This authority until `longer` ends, if that is later. Who may not commit at all still may not.
    pub fn extended_to(self, longer: Self) -> Self {
        match (self, longer) {
            (Self::ReadOnly | Self::Forever, _) | (_, Self::ReadOnly) => self,
            (Self::Until(_), Self::Forever) => Self::Forever,
            (Self::Until(end), Self::Until(later)) => Self::Until(end.max(later)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Authority::{self, Forever, ReadOnly, Until};

    #[test]
    fn authority_gets_longer_and_never_shorter_or_out_of_nothing() {
        let rows = [
            (ReadOnly, Forever, ReadOnly),
            (ReadOnly, Until(5), ReadOnly),
            (Until(3), Until(5), Until(5)),
            (Until(5), Until(3), Until(5)),
            (Until(5), Forever, Forever),
            (Until(5), ReadOnly, Until(5)),
            (Forever, Until(5), Forever),
        ];
        for (from, to, expected) in rows {
            assert_eq!(Authority::extended_to(from, to), expected, "{from:?} to {to:?}");
        }
    }
}
