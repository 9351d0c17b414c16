use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// What happens to the bytes that a primary sends.
pub(super) type Spoil = Arc<dyn Fn(usize, &mut Vec<u8>) -> bool + Send + Sync>;

/// A connection between two nodes that is not to be relied on.
pub(super) struct Relay {
    address: SocketAddrV4,
    stopping: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Passes connections on to `target`. Whatever comes back goes through `spoil`, with the number of bytes that came
    /// before it on its connection; when that says false the connection is cut behind it.
    pub(super) fn start(target: SocketAddrV4, spoil: Spoil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        let (stopping, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop, count) = (Arc::clone(&stopping), Arc::clone(&connections));
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(target) else { continue };
                let (mut from_client, mut to_server) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    // Ends with either side.
                    let _ = std::io::copy(&mut from_client, &mut to_server);
                    let _ = to_server.shutdown(Shutdown::Both);
                });
                let spoil = Arc::clone(&spoil);
                thread::spawn(move || pass_back(server, client, &spoil));
            }
        });
        Self { address, stopping, connections, thread: Some(thread) }
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn pass_back(mut server: TcpStream, mut client: TcpStream, spoil: &Spoil) {
    let mut passed = 0;
    let mut buf = vec![0; 16 << 10];
    while let Ok(len @ 1..) = server.read(&mut buf) {
        let mut piece = buf[..len].to_vec();
        let goes_on = spoil(passed, &mut piece);
        passed += len;
        if client.write_all(&piece).is_err() || !goes_on {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
