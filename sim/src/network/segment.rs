/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Part of a connection.
    Of {
        /// The connection, as the machine that opened it numbers it.
        connection: u64,
        /// Whether the machine that opened the connection sent it.
        from_opener: bool,
        /// What it says.
        part: Part,
    },
    /// Something else, to or from a service.
    Message(Vec<u8>),
}

/// What a segment of a connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The connection shall be opened.
    Open,
    /// It is open.
    Accept,
    /// Bytes from this offset on.
    Data(u64, Vec<u8>),
    /// All bytes up to this offset arrived.
    Ack(u64),
    /// There are no more bytes than up to this offset.
    Fin(u64),
    /// There is no such connection.
    Reset,
}

impl Segment {
    /// The bytes of the datagram.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Message(bytes) => [&[0], bytes.as_slice()].concat(),
            Self::Of { connection, from_opener, part } => {
                let (kind, number, bytes) = match part {
                    Part::Open => (1, 0, &[][..]),
                    Part::Accept => (2, 0, &[][..]),
                    Part::Data(offset, bytes) => (3, *offset, bytes.as_slice()),
                    Part::Ack(offset) => (4, *offset, &[][..]),
                    Part::Fin(offset) => (5, *offset, &[][..]),
                    Part::Reset => (6, 0, &[][..]),
                };
                let head = [kind, u8::from(*from_opener)];
                [&head, &connection.to_be_bytes()[..], &number.to_be_bytes(), bytes].concat()
            }
        }
    }

    /// The segment in a datagram.
    pub(crate) fn decode(datagram: &[u8]) -> Option<Self> {
        let (kind, rest) = datagram.split_first()?;
        if *kind == 0 {
            return Some(Self::Message(rest.to_vec()));
        }
        let (from_opener, rest) = rest.split_first()?;
        let (connection, rest) = rest.split_first_chunk()?;
        let (number, bytes) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        let part = match kind {
            1 => Part::Open,
            2 => Part::Accept,
            3 => Part::Data(number, bytes.to_vec()),
            4 => Part::Ack(number),
            5 => Part::Fin(number),
            6 => Part::Reset,
            _ => return None,
        };
        Some(Self::Of { connection: u64::from_be_bytes(*connection), from_opener: *from_opener == 1, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_survives_its_datagram() {
        let parts =
            [Part::Open, Part::Accept, Part::Data(7, vec![1, 2]), Part::Ack(9), Part::Fin(3), Part::Reset];
        for part in parts {
            let segment = Segment::Of { connection: 5, from_opener: true, part };
            assert_eq!(Segment::decode(&segment.encode()), Some(segment));
        }
        let message = Segment::Message(vec![3]);
        assert_eq!(Segment::decode(&message.encode()), Some(message));
    }
}
