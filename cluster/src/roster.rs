//! [`Roster`]: who belongs to the cluster. It is configuration, the same on every node; nobody joins by asking.
//! A roster that exists is well formed: constructing it checks it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use conclave_wg::key::PublicKey;
use conclave_wg::peer::Endpoint;
use sha2::{Digest as _, Sha256};

use crate::id::{ClusterId, NodeName};

/// Most nodes in a roster. Every node speaks to every other twice a second, which at 64 is some 130 small packets a
/// second in each direction; more nodes would need another protocol.
pub const MAX_MEMBERS: usize = 64;

/// One node of the roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// How it is called.
    pub name: NodeName,
    /// Its WireGuard public key, which the transport proves.
    pub public_key: PublicKey,
    /// Where its tunnel is looked for first; `None` when it must speak first.
    pub endpoint: Option<Endpoint>,
    /// Its address inside the tunnel.
    pub address: IpAddr,
}

/// Why a roster is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterError {
    /// This node itself is missing.
    #[error("the cluster's nodes do not include this node, `{0}`")]
    WithoutMe(NodeName),
    /// More than [`MAX_MEMBERS`].
    #[error("the cluster has {0} nodes, at most {MAX_MEMBERS} are supported")]
    TooMany(usize),
    /// Two nodes with one name.
    #[error("two nodes of the cluster are called `{0}`")]
    SameName(NodeName),
    /// Two nodes with one key.
    #[error("`{0}` has the public key of another node of the cluster")]
    SameKey(NodeName),
    /// Two nodes with one address inside the tunnel.
    #[error("`{0}` has the tunnel address of another node of the cluster")]
    SameAddress(NodeName),
    /// A running node was given a roster of another cluster, or another name.
    #[error("a running node can change neither its name nor its cluster; restart it")]
    OtherNode,
}

/// The nodes of a cluster, as one of them sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    cluster: ClusterId,
    me: Member,
    peers: Vec<Member>,
    fingerprint: u64,
}

impl Roster {
    /// The roster of the node called `me`, which is among `members`.
    ///
    /// # Errors
    /// A [`RosterError`] that names the node at fault.
    pub fn new(
        cluster: ClusterId,
        me: &NodeName,
        mut members: Vec<Member>,
    ) -> Result<Self, RosterError> {
        members.sort_by(|left, right| left.name.cmp(&right.name));
        if members.len() > MAX_MEMBERS {
            return Err(RosterError::TooMany(members.len()));
        }
        let (mut names, mut keys, mut addresses) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for member in &members {
            let name = || member.name.clone();
            if !names.insert(&member.name) {
                return Err(RosterError::SameName(name()));
            }
            if !keys.insert(member.public_key) {
                return Err(RosterError::SameKey(name()));
            }
            if !addresses.insert(member.address) {
                return Err(RosterError::SameAddress(name()));
            }
        }
        let fingerprint = fingerprint(&cluster, &members);
        let (mut own, peers): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| member.name == *me);
        let me = own
            .pop()
            .ok_or_else(|| RosterError::WithoutMe(me.clone()))?;
        Ok(Self {
            cluster,
            me,
            peers,
            fingerprint,
        })
    }

    /// Which cluster this is.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The node itself.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// All others, by name.
    pub fn peers(&self) -> &[Member] {
        &self.peers
    }

    /// Whether a running node may go over from this roster to `next`.
    ///
    /// # Errors
    /// [`RosterError::OtherNode`] when name or cluster differ.
    pub fn check_successor(&self, next: &Self) -> Result<(), RosterError> {
        if self.cluster == next.cluster && self.me.name == next.me.name {
            Ok(())
        } else {
            Err(RosterError::OtherNode)
        }
    }

    /// A number that is the same on two nodes whose rosters name the same nodes with the same keys. Endpoints may
    /// differ: a node can be known by different addresses in different places.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn fingerprint(cluster: &ClusterId, members: &[Member]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(cluster.0);
    for member in members {
        // A name cannot hold a zero byte, so no two rosters read the same.
        hash.update(member.name.as_str());
        hash.update([0]);
        hash.update(member.public_key.as_bytes());
    }
    first_8_bytes(&hash.finalize())
}

/// The number in the first bytes of a hash.
pub(crate) fn first_8_bytes(hash: &[u8]) -> u64 {
    hash.iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, number: u8) -> Member {
        Member {
            name: name.parse().unwrap(),
            public_key: PublicKey::from_bytes([number; 32]),
            endpoint: None,
            address: IpAddr::from([10, 90, 0, number]),
        }
    }

    fn roster(members: Vec<Member>) -> Result<Roster, RosterError> {
        Roster::new(ClusterId([1; 16]), &"a".parse().unwrap(), members)
    }

    #[test]
    fn a_roster_names_the_node_at_fault() {
        let name = |text: &str| text.parse().unwrap();
        assert_eq!(
            roster(vec![member("b", 2)]),
            Err(RosterError::WithoutMe(name("a")))
        );
        assert_eq!(
            roster(vec![member("a", 1), member("a", 2)]),
            Err(RosterError::SameName(name("a")))
        );
        let mut twin = member("b", 2);
        twin.public_key = PublicKey::from_bytes([1; 32]);
        assert_eq!(
            roster(vec![member("a", 1), twin]),
            Err(RosterError::SameKey(name("b")))
        );
        let mut twin = member("b", 2);
        twin.address = member("a", 1).address;
        assert_eq!(
            roster(vec![member("a", 1), twin]),
            Err(RosterError::SameAddress(name("b")))
        );
        let many = (0..65)
            .map(|number| member(&format!("n{number}"), number))
            .collect();
        assert_eq!(roster(many), Err(RosterError::TooMany(65)));
    }

    #[test]
    fn a_fingerprint_sees_names_and_keys_but_not_order_or_view() {
        let one = roster(vec![member("a", 1), member("b", 2)]).unwrap();
        let other = Roster::new(
            ClusterId([1; 16]),
            &"b".parse().unwrap(),
            vec![member("b", 2), member("a", 1)],
        )
        .unwrap();
        assert_eq!(one.fingerprint(), other.fingerprint());
        let renamed = roster(vec![member("a", 1), member("c", 2)]).unwrap();
        assert_ne!(one.fingerprint(), renamed.fingerprint());
        let rekeyed = roster(vec![member("a", 1), member("b", 3)]).unwrap();
        assert_ne!(one.fingerprint(), rekeyed.fingerprint());
        assert_eq!(one.check_successor(&rekeyed), Ok(()));
        assert_eq!(one.check_successor(&other), Err(RosterError::OtherNode));
    }
}
