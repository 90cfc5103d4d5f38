//! Networks that can be cut or slowed: relays that stand between two nodes (UDP on loopback) or between a node and its
//! database (a socket in a folder). They keep a copy of what passes on demand, for tests that look through captures.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often a relay looks whether it was cut or dropped.
const TURN: Duration = Duration::from_millis(20);
/// How often it looks for a new connection.
const GLANCE: Duration = Duration::from_millis(1);
/// No captured test writes more.
const MAX_CAPTURED_BYTES: usize = 64 * 1024 * 1024;

/// What a test turns on a relay.
#[derive(Default)]
struct Switches {
    cut: AtomicBool,
    ended: AtomicBool,
    delay_us: AtomicU64,
    captured: Mutex<Option<Vec<u8>>>,
}

impl Switches {
    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us.load(Ordering::SeqCst))
    }

    fn capture(&self, bytes: &[u8]) {
        if let Some(captured) = self.captured.lock().as_mut()
            && captured.len() + bytes.len() <= MAX_CAPTURED_BYTES
        {
            captured.extend_from_slice(bytes);
        }
    }
}

/// One relay. Dropping it cuts it for good.
pub struct Relay {
    switches: Arc<Switches>,
}

/// A relay of datagrams, and where it listens.
pub struct Datagrams {
    relay: Relay,
    address: SocketAddr,
}

/// A relay of connections, and the socket at which it listens.
pub struct Connections {
    relay: Relay,
}

impl Datagrams {
    /// What comes from `target` goes to whoever wrote last, everything else to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let relay = Relay::new();
        let switches = Arc::clone(&relay.switches);
        thread::spawn(move || carry_datagrams(&socket, target, &switches));
        Self { relay, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Connections {
    /// Carries connections from the socket `from` to the socket `to`. A cut ends those there are, and lets nobody through.
    pub fn between(from: &Path, to: &Path) -> Self {
        let listener = UnixListener::bind(from).expect("a socket");
        listener.set_nonblocking(true).expect("a mode");
        let relay = Relay::new();
        let switches = Arc::clone(&relay.switches);
        let target = to.to_owned();
        thread::spawn(move || carry_connections(&listener, &target, &switches));
        Self { relay }
    }
}

impl std::ops::Deref for Datagrams {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

impl std::ops::Deref for Connections {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

impl Relay {
    fn new() -> Self {
        Self {
            switches: Arc::default(),
        }
    }

    /// Lets nothing through any more.
    pub fn cut(&self) {
        self.switches.cut.store(true, Ordering::SeqCst);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.switches.cut.store(false, Ordering::SeqCst);
    }

    /// Holds each datagram back for so long.
    pub fn delay(&self, delay: Duration) {
        let delay_us = u64::try_from(delay.as_micros()).expect("a short delay");
        self.switches.delay_us.store(delay_us, Ordering::SeqCst);
    }

    /// Begins to keep a copy of everything that passes.
    pub fn start_capture(&self) {
        *self.switches.captured.lock() = Some(Vec::new());
    }

    /// What has passed since then.
    pub fn captured(&self) -> Vec<u8> {
        self.switches.captured.lock().clone().unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.switches.ended.store(true, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods, reason = "a delay in real time")]
fn carry_datagrams(socket: &UdpSocket, target: SocketAddr, switches: &Switches) {
    let mut client = None;
    let mut waiting: Vec<(Instant, Vec<u8>, SocketAddr)> = Vec::new();
    let mut buffer = vec![0; 65_536];
    while !switches.has_ended() {
        let pause = waiting.first().map_or(TURN, |(due, ..)| {
            due.saturating_duration_since(Instant::now())
                .clamp(Duration::from_micros(100), TURN)
        });
        let _ = socket.set_read_timeout(Some(pause));
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let to = if from == target {
                client
            } else {
                client = Some(from);
                Some(target)
            };
            if let Some(to) = to.filter(|_| !switches.is_cut()) {
                let datagram = buffer[..length].to_vec();
                switches.capture(&datagram);
                waiting.push((Instant::now() + switches.delay(), datagram, to));
            }
        }
        let now = Instant::now();
        while waiting.first().is_some_and(|(due, ..)| *due <= now) {
            let (_, datagram, to) = waiting.remove(0);
            if !switches.is_cut() {
                let _ = socket.send_to(&datagram, to);
            }
        }
    }
}

fn carry_connections(listener: &UnixListener, target: &PathBuf, switches: &Arc<Switches>) {
    while !switches.has_ended() {
        match listener.accept() {
            Ok((client, _)) if !switches.is_cut() => {
                let Ok(server) = UnixStream::connect(target) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let switches = Arc::clone(switches);
                    thread::spawn(move || carry_bytes(from, to, &switches));
                }
            }
            Ok(_) => {}
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

/// Carries one direction until either side, or the test, ends it.
fn carry_bytes(mut from: UnixStream, mut to: UnixStream, switches: &Switches) {
    let mut buffer = vec![0; 65_536];
    let _ = from.set_nonblocking(false);
    let _ = from.set_read_timeout(Some(TURN));
    while !switches.is_cut() {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                switches.capture(&buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        Some((buffer[..length].to_vec(), from))
    }

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Duration::from_millis(500);
        socket.set_read_timeout(Some(timeout)).unwrap();
        socket
    }

    #[test]
    fn datagrams_pass_both_ways_until_the_cut() {
        let (one, other) = (socket(), socket());
        let relay = Datagrams::to(other.local_addr().unwrap());
        relay.start_capture();
        one.send_to(b"there", relay.address()).unwrap();
        let (text, from) = receive(&other).unwrap();
        assert_eq!(
            (text.as_slice(), from),
            (b"there".as_slice(), relay.address())
        );
        other.send_to(b"back", from).unwrap();
        assert_eq!(receive(&one).unwrap().0, b"back");
        assert_eq!(relay.captured(), b"thereback");
        relay.cut();
        one.send_to(b"lost", relay.address()).unwrap();
        assert!(receive(&other).is_none());
        relay.heal();
        one.send_to(b"again", relay.address()).unwrap();
        assert_eq!(receive(&other).unwrap().0, b"again");
    }

    #[test]
    fn a_cut_ends_connections() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let server = UnixListener::bind(&to).unwrap();
        let relay = Connections::between(&from, &to);
        let mut client = UnixStream::connect(&from).unwrap();
        client.write_all(b"x").unwrap();
        let (mut served, _) = server.accept().unwrap();
        let mut byte = [0];
        served.read_exact(&mut byte).unwrap();
        relay.cut();
        assert_eq!(client.read(&mut byte).unwrap_or(0), 0);
    }
}
