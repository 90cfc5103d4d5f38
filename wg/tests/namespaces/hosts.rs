//! [`Hosts`]: two hosts and a router between them, as network namespaces; the router records every frame. Used by the
//! tests of the tunnels and by the end-to-end tests of the nodes. Needs root and iproute2.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespaces, and what was seen between them. The hosts are 1, at 10.200.1.2, and 2, at 10.200.2.2.
pub struct Hosts {
    prefix: String,
    frames: Arc<parking_lot::Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
}

impl Hosts {
    /// `tag` tells tests apart; 3 letters.
    pub fn new(tag: &str) -> Self {
        let prefix = format!("w{tag}{}", std::process::id() % 10_000);
        let hosts = Self {
            prefix,
            frames: Arc::default(),
            stop: Arc::default(),
        };
        let router = hosts.namespace("r");
        run(&["ip", "netns", "add", &router]);
        hosts.capture();
        for number in ["1", "2"] {
            hosts.connect(&router, number);
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run(&["ip", "netns", "exec", &router, "sh", "-c", forward]);
        hosts
    }

    /// Makes a host, and a line between it and the router.
    fn connect(&self, router: &str, number: &str) {
        let host = self.namespace(number);
        run(&["ip", "netns", "add", &host]);
        let (inner, outer) = (format!("eth{number}"), format!("out{number}"));
        let ip = |arguments: &str| {
            let words = ["ip"].into_iter().chain(arguments.split(' '));
            run(&words.collect::<Vec<_>>());
        };
        ip(&format!(
            "-n {router} link add {outer} type veth peer {inner}"
        ));
        ip(&format!("-n {router} link set {inner} netns {host}"));
        ip(&format!(
            "-n {router} address add 10.200.{number}.1/24 dev {outer}"
        ));
        ip(&format!(
            "-n {host} address add 10.200.{number}.2/24 dev {inner}"
        ));
        ip(&format!("-n {router} link set {outer} up"));
        ip(&format!("-n {host} link set {inner} up"));
        ip(&format!("-n {host} link set lo up"));
        ip(&format!(
            "-n {host} route add default via 10.200.{number}.1"
        ));
    }

    /// The name of a namespace: host 1 or 2, or the router `r`.
    pub fn namespace(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    /// Runs `work` in a thread of a host. What it starts is on that host, too.
    pub fn thread<T: Send + 'static>(
        &self,
        host: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = self.namespace(host);
        std::thread::spawn(move || {
            enter(&namespace);
            work()
        })
    }

    /// Every frame that the router saw until now.
    pub fn captured(&self) -> Vec<Vec<u8>> {
        self.frames.lock().clone()
    }

    /// Only WireGuard may be seen between the hosts, with `port` at both ends, and nothing of what it carries.
    pub fn only_wireguard_was_seen(&self, port: u16, marker: &[u8]) {
        let port = port.to_be_bytes();
        let mut datagrams = 0;
        for frame in &self.captured() {
            assert!(
                !frame.windows(marker.len()).any(|window| window == marker),
                "the marker is readable"
            );
            match (&frame[12..14], frame.get(23)) {
                // ARP, and ICMP by a host whose node is not running yet.
                (b"\x08\x06", _) | (b"\x08\x00", Some(1)) => {}
                // Neighbour discovery of the namespaces themselves.
                (b"\x86\xdd", _) => assert_eq!(frame[20] | 58, 58, "only ICMPv6 and hop-by-hop"),
                (b"\x08\x00", Some(17)) => {
                    assert_eq!((&frame[34..36], &frame[36..38]), (&port[..], &port[..]));
                    datagrams += 1;
                }
                other => panic!("a frame that is not WireGuard's: {other:?}"),
            }
        }
        assert!(datagrams > 100, "{datagrams} datagrams were seen");
    }

    fn capture(&self) {
        let (frames, stop) = (Arc::clone(&self.frames), Arc::clone(&self.stop));
        let namespace = self.namespace("r");
        std::thread::spawn(move || {
            enter(&namespace);
            let (family, kind) = (AddressFamily::PACKET, SocketType::RAW);
            let socket = socket_with(family, kind, SocketFlags::NONBLOCK, Some(eth::ALL));
            let socket = socket.expect("a packet socket");
            let mut buffer = [0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                match recv(&socket, &mut buffer[..], RecvFlags::empty()) {
                    Ok((length, _)) => frames.lock().push(buffer[..length].to_vec()),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for what in ["r", "1", "2"] {
            let namespace = self.namespace(what);
            let _ = Command::new("ip")
                .args(["netns", "delete", &namespace])
                .status();
        }
    }
}

/// Moves the calling thread into a namespace.
pub fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("a namespace");
    let network = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(file.as_fd(), network).expect("moved");
}

pub fn run(command: &[&str]) {
    let (program, arguments) = command.split_first().expect("a command");
    let status = Command::new(program).args(arguments).status();
    assert!(status.expect("it runs").success(), "{command:?}");
}
