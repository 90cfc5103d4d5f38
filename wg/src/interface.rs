//! [`Interface`]: a TUN device, through which the kernel's own TCP and UDP reach the peers.
//!
//! Owns the device, its addresses, MTU and routes, all set over netlink; they vanish with the process. Needs
//! CAP_NET_ADMIN. Refuses to take over the default route: this is a way to a few hosts, not a VPN for a machine.

use std::collections::HashSet;
use std::io;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::sync::Mutex;
use tun_rs::{AsyncDevice, DeviceBuilder};

use crate::subnet::Subnet;

/// Longest name of an interface: IFNAMSIZ less the final zero.
const MAX_NAME_BYTES: usize = 15;

/// How many packets are taken at once, at most.
const BATCH: usize = 64;

/// The interface could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// Its name.
    #[error("`{0}` is no name for an interface: 1 to 15 of a-z A-Z 0-9 . _ -")]
    Name(String),
    /// The device.
    #[error(
        "cannot open the TUN interface {name} (it needs CAP_NET_ADMIN and /dev/net/tun): {source}"
    )]
    Open {
        /// Its name.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// An address.
    #[error("cannot give the address {address} to the interface {name}: {source}")]
    Address {
        /// The interface.
        name: String,
        /// The address.
        address: Subnet,
        /// What the system says.
        source: rtnetlink::Error,
    },
    /// A route.
    #[error("cannot route {network} to the interface {name}: {source}")]
    Route {
        /// The interface.
        name: String,
        /// The network.
        network: Subnet,
        /// What the system says.
        source: rtnetlink::Error,
    },
    /// A default route.
    #[error(
        "a default route ({0}) through the tunnel is not supported; list the networks behind the peer"
    )]
    DefaultRoute(Subnet),
    /// Netlink itself.
    #[error("cannot speak netlink: {0}")]
    Netlink(String),
}

/// An open TUN device.
pub struct Interface {
    device: AsyncDevice,
    netlink: Handle,
    name: String,
    index: u32,
    addresses: Vec<Subnet>,
    routes: Mutex<HashSet<Subnet>>,
}

impl Interface {
    /// Opens the device `name` with these addresses, and sets it up. To be called in the runtime that will wait for it.
    ///
    /// # Errors
    /// An [`InterfaceError`] that says what is missing.
    pub async fn open(name: &str, addresses: &[Subnet], mtu: u16) -> Result<Self, InterfaceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(InterfaceError::Name(name.into()));
        }
        let device = DeviceBuilder::new().name(name).mtu(mtu).build_async();
        let device = device.map_err(|source| InterfaceError::Open {
            name: name.into(),
            source,
        })?;
        let connection = rtnetlink::new_connection();
        let (connection, netlink, _) =
            connection.map_err(|error| InterfaceError::Netlink(error.to_string()))?;
        // Ends when the handle is dropped.
        tokio::spawn(connection);
        let index = index_of(&netlink, name).await?;
        let interface = Self {
            device,
            netlink,
            name: name.into(),
            index,
            addresses: addresses.to_vec(),
            routes: Mutex::new(HashSet::new()),
        };
        for address in &interface.addresses {
            interface.add_address(*address).await?;
        }
        Ok(interface)
    }

    /// Makes these networks lead to the interface, and those of an earlier call that are not among them no more. What the
    /// interface's own addresses cover has a route already. Routes of others are never replaced.
    ///
    /// # Errors
    /// [`InterfaceError::Route`] for the first one that does not work; those before it do.
    pub async fn set_routes(&self, networks: Vec<Subnet>) -> Result<(), InterfaceError> {
        let covered = |network: &Subnet| self.addresses.iter().any(|own| own.covers(network));
        let wanted: HashSet<Subnet> = networks
            .into_iter()
            .filter(|network| !covered(network))
            .collect();
        if let Some(all) = wanted.iter().find(|network| network.prefix() == 0) {
            return Err(InterfaceError::DefaultRoute(*all));
        }
        let mut routes = self.routes.lock().await;
        for network in routes.difference(&wanted).copied().collect::<Vec<_>>() {
            let removed = self
                .netlink
                .route()
                .del(self.route(network)?)
                .execute()
                .await;
            removed.map_err(|source| self.route_error(network, source))?;
            routes.remove(&network);
        }
        for network in wanted {
            if !routes.contains(&network) {
                let added = self
                    .netlink
                    .route()
                    .add(self.route(network)?)
                    .execute()
                    .await;
                added.map_err(|source| self.route_error(network, source))?;
                routes.insert(network);
            }
        }
        Ok(())
    }

    /// Waits for packets from the kernel and takes those that are there.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut batch = Vec::new();
        self.device.readable().await?;
        while batch.len() < BATCH {
            match self.device.try_recv(buffer) {
                Ok(length) => batch.extend(buffer.get(..length).map(<[u8]>::to_vec)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What arrived before the error must not be lost.
                Err(_) if !batch.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }

    /// Hands a packet to the kernel.
    pub(crate) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.send(packet).await.map(|_| ())
    }

    async fn add_address(&self, address: Subnet) -> Result<(), InterfaceError> {
        let request = self
            .netlink
            .address()
            .add(self.index, address.address(), address.prefix());
        request
            .execute()
            .await
            .map_err(|source| InterfaceError::Address {
                name: self.name.clone(),
                address,
                source,
            })
    }

    fn route(
        &self,
        network: Subnet,
    ) -> Result<rtnetlink::packet_route::route::RouteMessage, InterfaceError> {
        let builder = RouteMessageBuilder::<std::net::IpAddr>::new()
            .destination_prefix(network.address(), network.prefix())
            .map_err(|error| InterfaceError::Netlink(error.to_string()))?;
        Ok(builder
            .output_interface(self.index)
            .scope(RouteScope::Link)
            .build())
    }

    fn route_error(&self, network: Subnet, source: rtnetlink::Error) -> InterfaceError {
        InterfaceError::Route {
            name: self.name.clone(),
            network,
            source,
        }
    }
}

async fn index_of(netlink: &Handle, name: &str) -> Result<u32, InterfaceError> {
    let mut links = netlink.link().get().match_name(name).execute();
    match links.try_next().await {
        Ok(Some(link)) => Ok(link.header.index),
        Ok(None) => Err(InterfaceError::Netlink(format!(
            "the interface {name} has vanished"
        ))),
        Err(error) => Err(InterfaceError::Netlink(error.to_string())),
    }
}
