use std::convert::Infallible;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A request as `METHOD /path?query`, with its body.
type Received = (String, Vec<u8>);

/// What to answer to a request: a status and a body.
type Answer = Box<dyn FnMut(&str) -> (u16, Vec<u8>) + Send>;

/// The HTTP API of a node whose answers are written down in the test.
pub(super) struct FakeNode {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FakeNode {
    /// A node that answers each request, told as `METHOD /path?query`, with a status and a body.
    pub(super) fn start(answer: impl FnMut(&str) -> (u16, Vec<u8>) + Send + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let node = Arc::new(Node { received: received.clone(), answer: Mutex::new(Box::new(answer)) });
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, node) => {}
                    _ = stopped => {}
                }
            });
        });
        let url = format!("http://{}", address.recv().unwrap());
        Self { url, received, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What was asked, in order.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        // The thread may be gone already, after a panic that its own test reports.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

struct Node {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Mutex<Answer>,
}

async fn serve(listener: TcpListener, node: Arc<Node>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let node = node.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| reply(node.clone(), request));
            // A client that breaks off is part of some tests.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn reply(node: Arc<Node>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
    let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
    let (status, answer) = (node.answer.lock().unwrap())(&line);
    node.received.lock().unwrap().push((line, body));
    Ok(Response::builder().status(status).body(Full::new(answer.into())).unwrap())
}
