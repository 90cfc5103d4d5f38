//! Tunnels alone, for a host that runs no node: opens the TUN interface and keeps the tunnels up until told to stop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use actix::Arbiter;
use conclave_wg::clock::SystemClock;
use conclave_wg::config::{Config as Tunnels, MAX_CONFIG_BYTES};
use conclave_wg::device::Settings;
use conclave_wg::transport::Transport;
use conclave_wg::udp::{Options, UdpTransport};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging;
use crate::config::Config;
use crate::error::Error;
use crate::private_file;

/// Opens the tunnels of `file`, and the interface, until SIGTERM or SIGINT. SIGHUP reads the peers of the file again.
///
/// # Errors
/// [`Error::Invalid`] for a file or an interface that cannot be used.
pub fn run(file: &Path, interface: &str) -> Result<(), Error> {
    logging::start(&Config::default());
    super::memory::protect(false);
    actix_web::rt::System::new().block_on(keep_up(file, interface))
}

async fn keep_up(file: &Path, interface: &str) -> Result<(), Error> {
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut hangup = on(SignalKind::hangup())?;
    let tunnels = read(file)?;
    if tunnels.addresses.is_empty() {
        let message = format!("{}: [Interface] has no Address", file.display());
        return Err(Error::invalid("Address", message));
    }
    let options = Options {
        listen: SocketAddr::new(any_address(), tunnels.listen_port.unwrap_or(0)),
        settings: Settings {
            private_key: tunnels.private_key,
            addresses: tunnels.addresses,
            mtu: tunnels.mtu.unwrap_or(Settings::DEFAULT_MTU),
            message_port: Settings::DEFAULT_MESSAGE_PORT,
            interface: Some(interface.to_owned()),
        },
        peers: tunnels.peers,
        clock: Arc::new(SystemClock),
    };
    let transport = UdpTransport::start(&Arbiter::new().handle(), options)
        .await
        .map_err(|error| Error::invalid("interface", error.to_string()))?;
    tracing::info!(
        interface,
        address = %transport.local_address(),
        public_key = %transport.public_key(),
        "the tunnels are open"
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match reload(&transport, file).await {
                Ok(()) => tracing::info!("read the peers again"),
                Err(error) => tracing::error!(%error, "the old peers stay in use"),
            },
            // Nodes' messages to each other have no business here.
            _ = transport.recv() => {}
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn reload(transport: &UdpTransport, file: &Path) -> Result<(), Error> {
    let tunnels = read(file)?;
    if tunnels.private_key.public() != transport.public_key() {
        let message = "the private key is another one; start again to use it";
        return Err(Error::invalid("PrivateKey", message));
    }
    transport
        .set_peers(tunnels.peers)
        .await
        .map_err(|error| Error::invalid("Peer", error.to_string()))
}

fn read(file: &Path) -> Result<Tunnels, Error> {
    let text = private_file::read_bounded("file", file, MAX_CONFIG_BYTES)?;
    Tunnels::parse(&text)
        .map_err(|error| Error::invalid("file", format!("{}: {error}", file.display())))
}

/// IPv6 takes IPv4 along, on machines that have IPv6.
fn any_address() -> IpAddr {
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn on(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(|error| Error::Unavailable(error.to_string()))
}
