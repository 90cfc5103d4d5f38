//! [`World`]: what runs on the two hosts.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix::Arbiter;
use conclave_wg::clock::SystemClock;
use conclave_wg::device::Settings;
use conclave_wg::key::PrivateKey;
use conclave_wg::peer::{Peer, PeerName};
use conclave_wg::subnet::Subnet;
use conclave_wg::transport::Transport;
use conclave_wg::udp::{Options, UdpTransport};

use super::hosts::{self, Hosts};

/// WireGuard's port on both hosts.
pub const PORT: u16 = 51820;

/// One of the two hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Left,
    Right,
}

impl Side {
    fn number(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Right => 2,
        }
    }

    pub fn name(self) -> PeerName {
        format!("host-{}", self.number()).parse().expect("a name")
    }

    /// Its address inside the tunnel.
    pub fn address(self) -> IpAddr {
        Ipv4Addr::new(10, 90, 0, self.number()).into()
    }

    /// Its other address inside the tunnel.
    pub fn address_v6(self) -> Ip6 {
        Ip6(Ipv6Addr::new(
            0xfd00,
            0,
            0,
            0,
            0,
            0,
            0,
            self.number().into(),
        ))
    }

    /// Where it is outside.
    pub fn place(self) -> SocketAddr {
        SocketAddr::from(([10, 200, self.number(), 2], PORT))
    }
}

/// An IPv6 address as what each place wants.
#[derive(Clone, Copy)]
pub struct Ip6(Ipv6Addr);

impl From<Ip6> for IpAddr {
    fn from(Ip6(address): Ip6) -> Self {
        address.into()
    }
}

impl From<Ip6> for Subnet {
    fn from(Ip6(address): Ip6) -> Self {
        Self::host(address.into())
    }
}

pub fn private_key(side: Side) -> PrivateKey {
    PrivateKey::from_random([side.number(); 32])
}

/// The hosts, and what the tests do on them.
pub struct World {
    hosts: Hosts,
}

impl World {
    /// `tag` tells tests apart; 3 letters.
    pub fn new(tag: &str) -> Self {
        Self {
            hosts: Hosts::new(tag),
        }
    }

    fn namespace_of(&self, side: Side) -> String {
        self.hosts.namespace(&side.number().to_string())
    }

    /// Runs `work` in a thread of a host.
    pub fn thread<T: Send + 'static>(
        &self,
        side: Side,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.hosts.thread(&side.number().to_string(), work)
    }

    /// Whether a host answers another within three tries.
    pub fn ping(&self, from: Side, to: impl Into<IpAddr>) -> bool {
        let (namespace, to) = (self.namespace_of(from), to.into().to_string());
        let ping = [
            "netns", "exec", &namespace, "ping", "-c", "3", "-i", "0.3", "-w", "4", &to,
        ];
        let status = Command::new("ip").args(ping).stdout(Stdio::null()).status();
        status.expect("ping runs").success()
    }

    pub fn routes(&self, side: Side) -> String {
        let output = Command::new("ip")
            .args(["-n", &self.namespace_of(side), "route"])
            .output();
        String::from_utf8(output.expect("ip runs").stdout).expect("text")
    }

    /// Waits for something that takes a moment.
    pub fn until(&self, true_now: impl Fn() -> bool) {
        let start = Instant::now();
        while !true_now() {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "it did not happen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every frame that the router saw until now.
    pub fn captured(&self) -> Vec<Vec<u8>> {
        self.hosts.captured()
    }

    /// Only WireGuard may be seen between the hosts, and nothing of what it carries.
    pub fn only_wireguard_was_seen(&self, marker: &[u8]) {
        self.hosts.only_wireguard_was_seen(PORT, marker);
    }

    /// Starts wireguard-go on a host, with one peer.
    pub fn wireguard_go(&self, side: Side, peer: &Peer) -> WireGuardGo {
        let namespace = self.namespace_of(side);
        let interface = self.hosts.namespace("g");
        let child = Command::new("ip")
            .args([
                "netns",
                "exec",
                &namespace,
                "wireguard-go",
                "-f",
                &interface,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = WireGuardGo(child.expect("wireguard-go starts"));
        let exists = ["-n", &namespace, "link", "show", &interface];
        self.until(|| {
            Command::new("ip")
                .args(exists)
                .output()
                .is_ok_and(|output| output.status.success())
        });
        let secret = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            file
        };
        let own = secret(&private_key(side).to_base64());
        let shared = secret(&peer.preshared_key.as_ref().expect("a key").to_base64());
        let allowed: Vec<_> = peer.allowed().map(|subnet| subnet.to_string()).collect();
        let (own, shared, port) = (own.path(), shared.path(), PORT.to_string());
        let (key, allowed) = (peer.public_key.to_string(), allowed.join(","));
        let endpoint = peer.endpoint.as_ref().map(ToString::to_string);
        let mut set = Command::new("ip");
        set.args([
            "netns",
            "exec",
            &namespace,
            "wg",
            "set",
            &interface,
            "listen-port",
            &port,
        ]);
        set.arg("private-key")
            .arg(own)
            .args(["peer", &key, "allowed-ips", &allowed]);
        set.arg("preshared-key").arg(shared);
        if let Some(endpoint) = &endpoint {
            set.args(["endpoint", endpoint]);
        }
        assert!(set.status().expect("wg runs").success());
        let addresses = [(side.address(), 24), (side.address_v6().into(), 64)];
        for (address, prefix) in addresses {
            let address = format!("{address}/{prefix}");
            hosts::run(&[
                "ip", "-n", &namespace, "address", "add", &address, "dev", &interface,
            ]);
        }
        hosts::run(&[
            "ip", "-n", &namespace, "link", "set", &interface, "mtu", "1420", "up",
        ]);
        child
    }
}

/// A running wireguard-go.
pub struct WireGuardGo(Child);

impl Drop for WireGuardGo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of our own nodes on a host.
pub struct Node {
    pub transport: UdpTransport,
    arbiter: Arbiter,
}

impl Node {
    pub async fn start(world: &World, side: Side, peer: Option<Peer>, interface: bool) -> Self {
        let arbiter = Arbiter::new();
        let namespace = world.namespace_of(side);
        arbiter.spawn_fn(move || hosts::enter(&namespace));
        let options = Options {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
            settings: Settings {
                private_key: private_key(side),
                addresses: vec![
                    Subnet::new(side.address(), 24).expect("a subnet"),
                    Subnet::new(side.address_v6().into(), 64).expect("a subnet"),
                ],
                mtu: Settings::DEFAULT_MTU,
                message_port: Settings::DEFAULT_MESSAGE_PORT,
                interface: interface.then(|| "wg-kms".into()),
            },
            peers: peer.into_iter().collect(),
            clock: Arc::new(SystemClock),
        };
        let transport = UdpTransport::start(&arbiter.handle(), options)
            .await
            .expect("started");
        Self { transport, arbiter }
    }

    /// Sends a message until it comes back; so often at most.
    pub async fn echoed(&self, message: &[u8], tries: usize) -> Vec<u8> {
        for _ in 0..tries {
            self.transport
                .send(&Side::Right.name(), message.to_vec())
                .await
                .expect("sent");
            let received =
                tokio::time::timeout(Duration::from_secs(2), self.transport.recv()).await;
            if let Ok(received) = received {
                let received = received.expect("open");
                assert_eq!(received.from, Side::Right.name());
                return received.message;
            }
        }
        panic!("{} bytes did not come back", message.len());
    }

    /// Stops it as a crash would: nothing is said to anybody.
    pub async fn stop(self) {
        drop(self.transport);
        // The actor notices at its next tick that it is not wanted any more.
        tokio::time::sleep(Duration::from_millis(600)).await;
        self.arbiter.stop();
    }
}
