use alloc::format;
use core::mem;

use super::{Effect, LeaseReply, LeaseRequest, Node, Note, Phase, Role};
use crate::database::Authority;
use crate::{ClusterId, Now};

/// How a node comes to its role.
impl Node {
    /// The lease service answered.
    pub(super) fn lease_answered(&mut self, request: LeaseRequest, reply: LeaseReply, now: Now) {
        use LeaseRequest::{Claim, ClusterId, FindOrAcquire, Release, Renew};
        match (request, reply) {
            (FindOrAcquire, LeaseReply::Held { .. }) => {
                // What is still being applied belongs to the primary before this one.
                self.following.drop_waiting(&mut self.effects);
                self.phase = Phase::Draining;
            }
            (ClusterId | FindOrAcquire, _) if self.stopping => self.wait(now),
            (ClusterId, LeaseReply::Cluster(theirs)) => match (theirs, self.cluster) {
                (Some(theirs), Some(ours)) if theirs != ours => {
                    self.note(Note::OtherLease { theirs, ours });
                    self.wait(now);
                }
                _ => {
                    self.lease_cluster = theirs;
                    self.phase = Phase::Finding;
                    self.ask(FindOrAcquire, now);
                }
            },
            (Claim(_), _) if self.stopping => self.phase = Phase::Releasing,
            (Claim(id), LeaseReply::Cluster(Some(theirs))) => self.claimed(id, theirs, now),
            (Claim(_), LeaseReply::Failed(reason)) => {
                self.note(Note::LeaseFailed(reason));
                self.phase = Phase::Releasing;
            }
            (Claim(_), reply) => {
                self.note(Note::LeaseFailed(format!("{reply:?} in answer to {request:?}")));
                self.phase = Phase::Releasing;
            }
            (FindOrAcquire, LeaseReply::Primary(primary)) => {
                let role = Role::Replica(primary.clone());
                if self.role == role {
                    self.follow(primary);
                } else {
                    self.note(Note::Following(primary));
                    self.take(role);
                }
            }
            (FindOrAcquire, LeaseReply::NoPrimary) => {
                self.note(Note::NoPrimary);
                if self.role == Role::Searching {
                    self.wait(now);
                } else {
                    self.take(Role::Searching);
                }
            }
            (ClusterId | FindOrAcquire, LeaseReply::Failed(reason)) => {
                self.note(Note::LeaseFailed(reason));
                self.wait(now);
            }
            (ClusterId | FindOrAcquire, reply) => {
                self.note(Note::LeaseFailed(format!("{reply:?} in answer to {request:?}")));
                self.wait(now);
            }
            (Renew, LeaseReply::Held { .. }) if self.phase == Phase::Primary => {
                self.effects.push(Effect::Authorize(self.lease.authority()));
            }
            (Renew, LeaseReply::Failed(reason)) if self.phase == Phase::Primary => {
                let left_ns = match self.lease.authority() {
                    Authority::Until(until_ns) => until_ns.saturating_sub(now.monotonic_ns),
                    Authority::Forever | Authority::ReadOnly => 0,
                };
                self.note(Note::NotRenewed { reason, left_ns });
            }
            // What it came to is seen from the lease.
            (Renew, _) => {}
            (Release, _) => {
                // Given back or not: this node does not use it any more, and it runs out.
                self.lease.forget();
                self.wait(now);
            }
        }
    }

    /// Has the lease service remember the cluster, before this node does: a node that founds one and is gone before others
    /// hear of it would leave them to found another.
    pub(super) fn claim(&mut self, now: Now) {
        let known = self.cluster.or(self.lease_cluster);
        let id = known.unwrap_or_else(|| ClusterId::new(self.draw()));
        self.phase = Phase::Claiming;
        self.ask(LeaseRequest::Claim(id), now);
    }

    /// The lease service belongs to the cluster `theirs`, after this node asked it to belong to `id`.
    fn claimed(&mut self, id: ClusterId, theirs: ClusterId, now: Now) {
        if self.lease_cluster.is_none() && theirs == id {
            self.note(Note::Claimed(id));
        }
        self.lease_cluster = Some(theirs);
        match self.cluster {
            Some(ours) if theirs != ours => self.refuse_lease(theirs, ours),
            // It took too long. The next time the service says so when it is asked for its cluster.
            _ if !self.lease.is_valid(now) => self.phase = Phase::Releasing,
            _ => {
                self.phase = Phase::Founding;
                self.effects.push(Effect::StoreCluster(theirs));
            }
        }
    }

    /// The databases are in the state that the role wants.
    pub(super) fn role_taken(&mut self, now: Now) {
        let Phase::Taking(role) = &self.phase else { return };
        self.role = role.clone();
        match self.role.clone() {
            Role::Primary if self.stopping || !self.lease.is_valid(now) => self.step_down(),
            Role::Primary => {
                self.phase = Phase::Primary;
                // It may have been renewed while the databases were prepared.
                self.effects.push(Effect::Authorize(self.lease.authority()));
                self.note(Note::Acquired);
                self.effects.push(Effect::Ready);
            }
            Role::Replica(_) if self.stopping => self.wait(now),
            Role::Replica(primary) => self.follow(primary),
            Role::Searching if self.lease.is_held() => self.phase = Phase::Releasing,
            Role::Searching => self.wait(now),
        }
    }

    /// This node belongs to this cluster, or does not know because nothing can be stored.
    pub(super) fn cluster_stored(&mut self, id: Option<ClusterId>, now: Now) {
        self.cluster = self.cluster.or(id);
        if self.phase == Phase::Founding {
            match id {
                Some(_) if self.stopping || !self.lease.is_valid(now) => self.phase = Phase::Releasing,
                // A primary that this node followed was quicker.
                Some(ours) if let Some(theirs) = self.lease_cluster.filter(|theirs| *theirs != ours) => {
                    self.refuse_lease(theirs, ours);
                }
                Some(_) => self.take(Role::Primary),
                None => {
                    self.note(Note::ClusterNotStored);
                    self.phase = Phase::Releasing;
                }
            }
            return;
        }
        let end = self.following.cluster_stored(id, &mut self.effects);
        self.stream_ended(end, now);
    }

    /// The lease is of another cluster.
    fn refuse_lease(&mut self, theirs: ClusterId, ours: ClusterId) {
        self.note(Note::OtherLease { theirs, ours });
        self.phase = Phase::Releasing;
    }

    /// Is primary no more.
    pub(super) fn step_down(&mut self) {
        if !self.stopping {
            self.note(Note::Lost);
        }
        self.effects.extend(mem::take(&mut self.feeds).into_keys().map(Effect::Finish));
        self.take(Role::Searching);
    }

    fn take(&mut self, role: Role) {
        let authority = if role.is_primary() { self.lease.authority() } else { Authority::ReadOnly };
        self.phase = Phase::Taking(role.clone());
        self.effects.push(Effect::TakeRole { role, authority });
    }
}
