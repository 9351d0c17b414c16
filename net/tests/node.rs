//! Running nodes, and peers that speak to them byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use litefs_net::{Client, Host, Lease, Limits, Member, Metrics, PrimaryInfo, Server, StaticLease, Stopper};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::fake_host::FakeHost;

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// How long nodes wait before they try again.
const RECONNECT_DELAY: Duration = Duration::from_millis(20);

/// A host in its cluster, with its API. It stops when this is dropped.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    server: JoinHandle<()>,
    member: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(host: &Arc<FakeHost>) -> Self {
        Self::start_with(host, "127.0.0.1:0", Limits::default()).await
    }

    /// Returns once the host is primary, if it is to be.
    pub(crate) async fn start_with(host: &Arc<FakeHost>, address: &str, limits: Limits) -> Self {
        host.set_unready();
        let node = Self::start_under(host, host.lease.clone(), address, limits).await;
        if host.lease.is_granted() {
            eventually("it is primary", || host.standing().borrow().ready).await;
        }
        node
    }

    pub(crate) async fn start_under(
        host: &Arc<FakeHost>,
        lease: impl Lease,
        address: &str,
        limits: Limits,
    ) -> Self {
        let server = Server::bind(address).await.unwrap();
        let address = server.local_addr().unwrap();
        let (stopper, stop) = Stopper::new();
        let member = Member::new(host.clone(), lease, &[], RECONNECT_DELAY);
        let metrics = Arc::new(Metrics::new());
        let server = tokio::spawn(server.serve(host.clone(), member.inbox(), metrics, limits, stop.clone()));
        Self { address, stopper, server, member: tokio::spawn(member.run(stop)) }
    }

    pub(crate) async fn stop(self) {
        self.stopper.stop();
        timeout(PATIENCE, self.server).await.expect("the server stops").unwrap();
        timeout(PATIENCE, self.member).await.expect("the member stops").unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url()).unwrap()
    }

    pub(crate) fn info(&self) -> PrimaryInfo {
        PrimaryInfo { hostname: "nodea".into(), url: self.url() }
    }

    /// A request over HTTP/2 by prior knowledge.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("{}{}", self.url(), parts.uri).parse().unwrap();
        timeout(PATIENCE, sender.send_request(Request::from_parts(parts, body))).await.unwrap().unwrap()
    }

    /// Status and body of a request without a body.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
        let reply = self.request(request).await;
        let status = reply.status().as_u16();
        let body = timeout(PATIENCE, reply.into_body().collect()).await.unwrap().unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// All that the server sends in answer to these bytes until it closes the connection.
    pub(crate) async fn talk(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut reply = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut reply))
            .await
            .expect("the server closes the connection")
            .unwrap();
        reply
    }
}

/// A replica of `primary`. It stops when the stopper is dropped.
pub(crate) fn follow(host: &Arc<FakeHost>, primary: PrimaryInfo) -> (Stopper, JoinHandle<()>) {
    let (stopper, stop) = Stopper::new();
    let lease = StaticLease::replica_of(primary);
    let member = Member::new(host.clone(), lease, &[], RECONNECT_DELAY);
    (stopper, tokio::spawn(member.run(stop)))
}

/// The first `len` bytes of a body.
pub(crate) async fn first_bytes(body: &mut Incoming, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let frame = timeout(PATIENCE, body.frame()).await.expect("the body goes on");
        bytes.extend_from_slice(&frame.expect("the body is not over").unwrap().into_data().unwrap());
    }
    bytes
}
