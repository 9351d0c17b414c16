use core::time::Duration;

use super::{LeaseReply, LeaseRequest};
use crate::Now;
use crate::database::Authority;

/// The lease as this node holds it: for how long, and what is being asked of the service.
///
/// Time is counted from when a request was sent, by the monotonic clock: the service may have granted it at any moment
/// after that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tenure {
    /// Number of the last request.
    number: u64,
    /// The request under way, and when it was sent, in nanoseconds.
    asked: Option<(LeaseRequest, u64)>,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// When it ends for this node, in nanoseconds; `None` is never.
    until_ns: Option<u64>,
    /// When to renew it.
    renew_ns: u64,
    /// How long to wait after a renewal that failed.
    retry_ns: u64,
}

impl Tenure {
    /// Sends a request. Returns its number.
    pub(super) fn ask(&mut self, request: LeaseRequest, now: Now) -> u64 {
        self.number += 1;
        self.asked = Some((request, now.monotonic_ns));
        self.number
    }

    /// Whether a request is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Takes the answer to request `number`, and returns what was asked. `None` if that is not the one under way.
    pub(super) fn answered(&mut self, number: u64, reply: &LeaseReply, now: Now) -> Option<LeaseRequest> {
        if number != self.number {
            return None;
        }
        let (request, sent_ns) = self.asked.take()?;
        match reply {
            LeaseReply::Held { ttl } => self.held = Some(Held::new(sent_ns, *ttl)),
            LeaseReply::Lost | LeaseReply::Released => self.held = None,
            LeaseReply::Failed(_) => {
                if let Some(held) = &mut self.held {
                    held.renew_ns = now.monotonic_ns.saturating_add(held.retry_ns);
                }
            }
            LeaseReply::Cluster(_) | LeaseReply::Primary(_) | LeaseReply::NoPrimary => {}
        }
        Some(request)
    }

    /// What the databases may do at most.
    pub(super) fn authority(&self) -> Authority {
        match self.held {
            None => Authority::ReadOnly,
            Some(Held { until_ns: None, .. }) => Authority::Forever,
            Some(Held { until_ns: Some(until_ns), .. }) => Authority::Until(until_ns),
        }
    }

    /// Whether the service granted the lease and it was not given back. It may have run out.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether this node is sure to hold the lease.
    pub(super) fn is_valid(&self, now: Now) -> bool {
        self.held.is_some_and(|held| held.until_ns.is_none_or(|until| now.monotonic_ns < until))
    }

    /// The lease is not this node's any more, whatever the service thinks.
    pub(super) fn forget(&mut self) {
        self.held = None;
    }

    /// Whether it is time to renew the lease.
    pub(super) fn is_renewal_due(&self, now: Now) -> bool {
        self.renewal_ns().is_some_and(|at| now.monotonic_ns >= at)
    }

    /// When the lease is to be renewed, in nanoseconds. Not while a request is under way.
    pub(super) fn renewal_ns(&self) -> Option<u64> {
        self.held.filter(|held| self.asked.is_none() && held.until_ns.is_some()).map(|held| held.renew_ns)
    }

    /// When the lease runs out, in nanoseconds.
    pub(super) fn end_ns(&self) -> Option<u64> {
        self.held.and_then(|held| held.until_ns)
    }
}

impl Held {
    fn new(sent_ns: u64, ttl: Option<Duration>) -> Self {
        let Some(ttl) = ttl else { return Self { until_ns: None, renew_ns: u64::MAX, retry_ns: 0 } };
        let ttl = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        // A tenth for clocks that do not run at the same speed.
        Self {
            until_ns: Some(sent_ns.saturating_add(ttl - ttl / 10)),
            renew_ns: sent_ns.saturating_add(ttl / 3),
            retry_ns: ttl / 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::LeaseRequest::{FindOrAcquire, Renew};

    fn at(monotonic_ns: u64) -> Now {
        Now { monotonic_ns, wall_ms: 0 }
    }

    #[test]
    fn lease_counts_from_when_it_was_asked_for() {
        let mut tenure = Tenure::default();
        let number = tenure.ask(FindOrAcquire, at(1_000));
        let held = LeaseReply::Held { ttl: Some(Duration::from_nanos(300)) };
        assert_eq!(tenure.answered(number, &held, at(1_200)), Some(FindOrAcquire));
        assert_eq!(tenure.authority(), Authority::Until(1_270));
        assert!(tenure.is_valid(at(1_269)));
        assert!(!tenure.is_valid(at(1_270)));
        assert_eq!((tenure.renewal_ns(), tenure.end_ns()), (Some(1_100), Some(1_270)));
    }

    #[test]
    fn renewal_that_fails_is_tried_again_and_extends_nothing() {
        let mut tenure = Tenure::default();
        let number = tenure.ask(Renew, at(0));
        tenure.answered(number, &LeaseReply::Held { ttl: Some(Duration::from_nanos(300)) }, at(0));
        assert!(tenure.is_renewal_due(at(100)));
        let number = tenure.ask(Renew, at(100));
        assert!(!tenure.is_renewal_due(at(200)), "one request at a time");
        assert_eq!(tenure.renewal_ns(), None);
        tenure.answered(number, &LeaseReply::Failed("no route".into()), at(150));
        assert_eq!((tenure.renewal_ns(), tenure.authority()), (Some(180), Authority::Until(270)));
    }

    #[test]
    fn late_answer_to_an_older_request_is_not_taken() {
        let mut tenure = Tenure::default();
        let first = tenure.ask(Renew, at(0));
        let second = tenure.ask(Renew, at(10));
        assert_eq!(tenure.answered(first, &LeaseReply::Held { ttl: None }, at(20)), None);
        assert!(!tenure.is_held());
        assert_eq!(tenure.answered(second, &LeaseReply::Held { ttl: None }, at(20)), Some(Renew));
        assert_eq!(tenure.authority(), Authority::Forever);
        assert_eq!(tenure.answered(second, &LeaseReply::Lost, at(30)), None, "an answer counts once");
    }
}
