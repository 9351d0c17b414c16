use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use litefs_core::{ClusterId, DatabaseName};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::{FollowEnd, Follower, Found, Host, Lease, PrimaryInfo, Role, Stop};

/// Keeps a node in its cluster: it is primary while the lease says so, and follows the primary otherwise.
#[derive(Debug)]
pub struct Member<L> {
    host: Arc<dyn Host>,
    lease: L,
    follower: Follower,
    reconnect_delay: Duration,
}

impl<L: Lease> Member<L> {
    /// A node that replicates these databases, or all, and tries again after about `reconnect_delay` whenever something
    /// fails.
    pub fn new(
        host: Arc<dyn Host>,
        lease: L,
        databases: Vec<DatabaseName>,
        reconnect_delay: Duration,
    ) -> Self {
        let follower = Follower::new(Arc::clone(&host), databases);
        Self { host, lease, follower, reconnect_delay }
    }

    /// Runs until it is told to stop. Then no transaction is being applied any more, and the lease is released.
    pub async fn run(mut self, stop: Stop) {
        while !stop.is_stopped() {
            let pause = self.turn(&stop).await;
            tokio::select! {
                () = stop.stopped() => (),
                () = sleep(pause) => (),
            }
        }
        self.follower.finish().await;
    }

    /// Takes a role and keeps it as long as possible. Returns how long to wait before the next turn.
    async fn turn(&mut self, stop: &Stop) -> Duration {
        let found = tokio::select! {
            () = stop.stopped() => return Duration::ZERO,
            found = self.find() => found,
        };
        match found {
            Some(Found::Acquired) => {
                self.be_primary(stop).await;
                Duration::ZERO
            }
            Some(Found::Primary(primary)) => self.be_replica(primary, stop).await,
            Some(Found::NoPrimary) => {
                info!("cannot find primary & ineligible to become primary, retrying");
                self.set_role(Role::Searching).await;
                self.delay()
            }
            None => self.delay(),
        }
    }

    /// What the lease service says, if this node belongs to its cluster.
    async fn find(&self) -> Option<Found> {
        let theirs = match self.lease.cluster_id().await {
            Ok(id) => id,
            Err(error) => {
                warn!(%error, "cannot ask for the cluster id");
                return None;
            }
        };
        let ours = self.host.identity().cluster_id;
        if let (Some(theirs), Some(ours)) = (theirs, ours)
            && theirs != ours
        {
            let kind = self.lease.kind();
            error!(
                "cannot connect, {kind:?} lease already initialized with different ID: {theirs}, this node has {ours}"
            );
            return None;
        }
        match self.lease.find_or_acquire().await {
            Ok(found) => Some(found),
            Err(error) => {
                warn!(%error, "cannot ask for the primary");
                None
            }
        }
    }

    async fn be_primary(&mut self, stop: &Stop) {
        // What is still being applied belongs to the primary before this one.
        self.follower.finish().await;
        match self.found_cluster().await {
            Ok(id) => info!("set cluster id on {:?} lease {:?}", self.lease.kind(), id.as_str()),
            Err(error) => {
                error!(%error, "cannot store the cluster id");
                self.release().await;
                tokio::select! {
                    () = stop.stopped() => (),
                    () = sleep(self.delay()) => (),
                }
                return;
            }
        }
        self.set_role(Role::Primary).await;
        self.host.set_ready();
        info!("primary lease acquired");
        tokio::select! {
            () = stop.stopped() => (),
            () = self.lease.lost() => warn!("primary lease lost"),
        }
        self.set_role(Role::Searching).await;
        self.release().await;
    }

    async fn be_replica(&mut self, primary: PrimaryInfo, stop: &Stop) -> Duration {
        let role = Role::Replica(primary.clone());
        if self.host.standing().borrow().role != role {
            info!(
                "existing primary found ({}), connecting as replica to {:?}",
                primary.hostname, primary.url
            );
            self.set_role(role).await;
        }
        match self.follower.follow(&primary, stop).await {
            Ok(FollowEnd::Stopped | FollowEnd::Refetch) => Duration::ZERO,
            Ok(FollowEnd::Disconnected) => {
                info!("disconnected from primary, retrying");
                self.delay()
            }
            Err(error) => {
                warn!(%error, "disconnected from primary with error, retrying");
                self.delay()
            }
        }
    }

    async fn set_role(&self, role: Role) {
        let host = Arc::clone(&self.host);
        if let Err(error) = spawn_blocking(move || host.set_role(role)).await {
            error!(%error, "cannot change the role");
        }
    }

    async fn found_cluster(&self) -> std::io::Result<ClusterId> {
        let host = Arc::clone(&self.host);
        spawn_blocking(move || host.found_cluster()).await.map_err(std::io::Error::other)?
    }

    async fn release(&self) {
        if let Err(error) = self.lease.release().await {
            warn!(%error, "cannot release the lease");
        }
    }

    /// The reconnect delay, a quarter more or less, so that replicas of a primary that came back do not all connect at
    /// the same moment.
    fn delay(&self) -> Duration {
        let random = RandomState::new().build_hasher().finish();
        let share = 0.75 + 0.5 * (random as f64 / u64::MAX as f64);
        self.reconnect_delay.mul_f64(share)
    }
}
