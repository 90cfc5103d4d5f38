//! [`Socket`]: a UDP socket with room for bursts, that hides how IPv4 looks on an IPv6 socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::sockopt;
use tokio::net::UdpSocket;

/// Room for datagrams that arrive while the tunnels are busy, in bytes. The longest message alone is some 55 datagrams,
/// and Linux counts each as more than 2 KiB; its usual 208 KiB would lose every second one of a burst.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How many datagrams are taken at once, at most.
const BATCH: usize = 64;

/// Longest datagram that UDP can carry.
const MAX_DATAGRAM_BYTES: usize = 65_535;

pub(super) struct Socket {
    socket: UdpSocket,
    /// Whether IPv4 addresses must be written as `::ffff:a.b.c.d`.
    mapped: bool,
}

impl Socket {
    /// Must be called in the runtime that will wait for the socket.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // Beyond the system's limit only with CAP_NET_ADMIN; without it Linux gives what it may.
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES)?;
        }
        sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES)?;
        let mapped = address.is_ipv6();
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            mapped,
        })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V4(to) if self.mapped => {
                SocketAddr::new(IpAddr::V6(to.ip().to_ipv6_mapped()), to.port())
            }
            to => to,
        };
        self.socket.send_to(bytes, to).await.map(|_| ())
    }

    /// Waits for datagrams and takes those that are there.
    pub async fn receive(&self, buffer: &mut Buffer) -> io::Result<Vec<(SocketAddr, Vec<u8>)>> {
        let mut batch = Vec::new();
        self.socket.readable().await?;
        while batch.len() < BATCH {
            match self.socket.try_recv_from(&mut buffer.0) {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    batch.extend(buffer.0.get(..length).map(|bytes| (from, bytes.to_vec())));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What arrived before the error must not be lost.
                Err(_) if !batch.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }
}

/// Room for one datagram.
pub(super) struct Buffer(Box<[u8]>);

impl Buffer {
    pub fn new() -> Self {
        Self(vec![0; MAX_DATAGRAM_BYTES].into_boxed_slice())
    }
}
