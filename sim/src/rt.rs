//! The runtime under the simulation: virtual time, tasks and datagrams. The only file that names madsim.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use madsim::net::{Endpoint, NetSim};
use madsim::plugin::simulator;
use madsim::runtime::{Handle, Runtime};
use madsim::task::{JoinHandle, NodeId};
use madsim::time::TimeHandle;

/// The port that every host receives at.
const PORT: u16 = 1;
/// Bytes of the longest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// Runs `future` to its end in virtual time. Everything that happens depends on `seed` alone.
///
/// Call it on a thread of its own: the standard library keeps some state a thread.
pub(crate) fn run<F: Future>(seed: u64, future: F) -> F::Output {
    Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(future)
}

/// Starts a task beside the running one.
pub(crate) fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Task(madsim::task::spawn_local(future))
}

/// A task that was started.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Waits for its end. `None` if it panicked or was cancelled.
    pub(crate) async fn join(self) -> Option<T> {
        self.0.await.ok()
    }
}

/// Waits in virtual time; anything below a millisecond takes about one.
pub(crate) async fn sleep(duration: Duration) {
    madsim::time::sleep(duration).await;
}

/// What `future` comes to, or `None` if that takes longer than `limit`.
pub(crate) async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    madsim::time::timeout(limit, future).await.ok()
}

/// Virtual nanoseconds since the start of the run, zero outside of one.
pub(crate) fn elapsed_ns() -> u64 {
    TimeHandle::try_current().map_or(0, |time| u64::try_from(time.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// A machine on the simulated network, where datagrams are delayed, overtake each other and get lost.
#[derive(Clone)]
pub(crate) struct Host {
    number: u8,
    node: NodeId,
    endpoint: Rc<Endpoint>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({})", self.number)
    }
}

impl Host {
    /// The machine with this number, at most 250.
    pub(crate) async fn new(number: u8) -> Self {
        let address = address_of(number);
        let node = Handle::current().create_node().ip(address.ip()).build();
        let bound = node.spawn(async move { Endpoint::bind(address).await }).await;
        let endpoint = bound.ok().and_then(Result::ok).map(Rc::new);
        let endpoint = endpoint.unwrap_or_else(|| unreachable!("a simulated port is free"));
        Self { number, node: node.id(), endpoint }
    }

    /// The number of the machine.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// Sends a datagram. Nobody tells whether it arrives.
    pub(crate) fn send(&self, to: u8, bytes: Vec<u8>) {
        let endpoint = Rc::clone(&self.endpoint);
        drop(spawn(async move { endpoint.send_to(address_of(to), 0, &bytes).await }));
    }

    /// The next datagram, and who sent it.
    pub(crate) async fn receive(&self) -> (u8, Vec<u8>) {
        let mut bytes = vec![0; DATAGRAM_MAX];
        loop {
            if let Ok((len, from)) = self.endpoint.recv_from(0, &mut bytes).await
                && let IpAddr::V4(ip) = from.ip()
            {
                bytes.truncate(len);
                return (ip.octets()[3], bytes);
            }
        }
    }

    /// Lets datagrams from this machine to another through, or not.
    pub(crate) fn set_open_to(&self, to: &Self, open: bool) {
        let net = simulator::<NetSim>();
        if open { net.unclog_link(self.node, to.node) } else { net.clog_link(self.node, to.node) }
    }
}

/// How often datagrams get lost, and how long the others take.
pub(crate) fn set_network(loss: f64, latency: std::ops::Range<Duration>) {
    simulator::<NetSim>().update_config(|config| {
        config.packet_loss_rate = loss;
        config.send_latency = latency;
    });
}

fn address_of(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), PORT))
}
