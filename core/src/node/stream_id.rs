/// A connection between two nodes, as one of them numbers it.
///
/// The two sides of a node draw from one row of numbers, so that one number is one connection.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StreamId(pub u64);
