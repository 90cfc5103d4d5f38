//! [`SealConfig`]: how many shares, how many of them open, by which hashes they are recognised, and the root key
//! wrapped under the unseal key. Its row is plaintext with a MAC, since it is needed while sealed; see
//! [`authentic`](super::authentic).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::authentic::{self, MacKey};
use super::keys::RootKey;
use super::quorum::Quorum;
use super::shamir;
use super::share::{Share, ShareHash};
use crate::barrier::envelope::RowCipher;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::secret::Secret;
use crate::store::key::{Key, Scope, Table};

/// The wrapping's term: the unseal key has none, its generation is in the associated data.
const WRAPPING_TERM: u32 = 0;

/// The seal configuration of one generation of shares.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct SealConfig {
    quorum: Quorum,
    generation: u64,
    #[serde(serialize_with = "to_base64")]
    salt: [u8; 32],
    share_hashes: Vec<ShareHash>,
    #[serde(serialize_with = "to_base64")]
    wrapped_root_key: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    quorum: Quorum,
    generation: u64,
    #[serde(deserialize_with = "from_base64")]
    salt: [u8; 32],
    share_hashes: Vec<ShareHash>,
    #[serde(deserialize_with = "from_base64")]
    wrapped_root_key: Vec<u8>,
}

/// Where an add-on's configuration row stands.
pub fn address(tenant: TenantId) -> Key {
    Key::row(Scope::Tenant(tenant), Table::SealConfig, &[])
}

impl SealConfig {
    /// Makes an unseal key, wraps `root` under it, and splits it into shares, which exist nowhere else.
    ///
    /// # Errors
    /// [`Error::Bug`] when a primitive fails.
    pub fn create(
        tenant: TenantId,
        quorum: Quorum,
        generation: u64,
        root: &RootKey,
        random: &OsRandom,
    ) -> Result<(Self, Vec<Share>), Error> {
        let unseal_key = Secret::new(random.array());
        let salt = random.array();
        let shares = shamir::split(&unseal_key, quorum)?;
        let config = Self {
            quorum,
            generation,
            salt,
            share_hashes: shares.iter().map(|share| share.hash(&salt)).collect(),
            wrapped_root_key: RowCipher::new(&unseal_key).seal(
                random,
                WRAPPING_TERM,
                &wrapping_address(tenant, generation),
                root.expose(),
            )?,
        };
        Ok((config, shares))
    }

    /// How many shares there are and how many are needed.
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// 1 for the shares of `init`; each rekey adds one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether `share` is one of this generation.
    pub fn recognises(&self, share: &Share) -> bool {
        let hash = share.hash(&self.salt);
        self.share_hashes.iter().any(|known| known.matches(&hash))
    }

    /// Opens the root key with the combined shares.
    ///
    /// # Errors
    /// [`Error::Invalid`] in Vault's words when this is not the unseal key.
    pub fn unwrap_root(
        &self,
        tenant: TenantId,
        unseal_key: &Secret<[u8; 32]>,
    ) -> Result<RootKey, Error> {
        let opened = RowCipher::new(unseal_key)
            .open(
                &wrapping_address(tenant, self.generation),
                &self.wrapped_root_key,
            )
            .map_err(|_| {
                Error::bad_request(
                    "invalid key: failed to compute combined key: the shares do not open this add-on",
                )
            })?;
        RootKey::from_slice(&opened)
    }

    /// The row to store.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn encode(&self, mac_key: &MacKey, tenant: TenantId) -> Result<Vec<u8>, Error> {
        mac_key.encode(&address(tenant), self)
    }

    /// The configuration that a row claims; proven only once the root key is open.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is no valid configuration.
    pub fn claim(row: &[u8]) -> Result<Self, Error> {
        authentic::claim(row)
    }

    /// Proves that `row` was written here by a holder of the key.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was not.
    pub fn prove(mac_key: &MacKey, tenant: TenantId, row: &[u8]) -> Result<(), Error> {
        mac_key.verify(&address(tenant), row)
    }
}

impl TryFrom<Wire> for SealConfig {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        if wire.share_hashes.len() != usize::from(wire.quorum.shares()) {
            return Err("not one hash for each share");
        }
        Ok(Self {
            quorum: wire.quorum,
            generation: wire.generation,
            salt: wire.salt,
            share_hashes: wire.share_hashes,
            wrapped_root_key: wire.wrapped_root_key,
        })
    }
}

/// The wrapped root key of one generation does not open in the place of another's.
fn wrapping_address(tenant: TenantId, generation: u64) -> Vec<u8> {
    let mut bytes = address(tenant).as_bytes().to_vec();
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes
}

/// For serde: bytes as base64url.
pub(super) fn to_base64<S: Serializer>(
    bytes: &impl AsRef<[u8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// For serde: base64url as bytes.
pub(super) fn from_base64<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| T::try_from(bytes).ok())
        .ok_or_else(|| D::Error::custom("not base64url of the right length"))
}

impl Serialize for ShareHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        to_base64(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for ShareHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_base64(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: [u8; 16] = [5; 16];

    fn sample(generation: u64) -> (SealConfig, Vec<Share>, RootKey) {
        let root = RootKey::generate(&OsRandom);
        let quorum = Quorum::new(5, 3).unwrap();
        let tenant = TenantId::from_bytes(TENANT);
        let (config, shares) =
            SealConfig::create(tenant, quorum, generation, &root, &OsRandom).unwrap();
        (config, shares, root)
    }

    #[test]
    fn the_row_survives_the_round_trip_and_proves_itself() {
        let tenant = TenantId::from_bytes(TENANT);
        let (config, _, root) = sample(1);
        let mac_key = root.mac_key().unwrap();
        let row = config.encode(&mac_key, tenant).unwrap();
        assert_eq!(SealConfig::claim(&row).unwrap(), config);
        assert!(SealConfig::prove(&mac_key, tenant, &row).is_ok());
        let other = TenantId::from_bytes([6; 16]);
        assert!(SealConfig::prove(&mac_key, other, &row).is_err());
    }

    #[test]
    fn only_shares_of_this_generation_are_recognised() {
        let (config, shares, root) = sample(1);
        let tenant = TenantId::from_bytes(TENANT);
        let (next, next_shares) =
            SealConfig::create(tenant, config.quorum(), 2, &root, &OsRandom).unwrap();
        for (old, new) in shares.iter().zip(&next_shares) {
            assert!(config.recognises(old));
            assert!(!config.recognises(new));
            assert!(next.recognises(new));
            assert!(!next.recognises(old));
        }
    }

    #[test]
    fn the_root_key_opens_with_the_combined_shares_in_its_place_only() {
        let tenant = TenantId::from_bytes(TENANT);
        let (config, shares, root) = sample(1);
        let key = shamir::combine(shares.iter().take(3)).unwrap();
        let opened = config.unwrap_root(tenant, &key).unwrap();
        assert_eq!(opened.expose(), root.expose());

        let too_few = shamir::combine(shares.iter().take(2)).unwrap();
        let refusal = |config: &SealConfig, tenant, key| {
            config.unwrap_root(tenant, key).err().unwrap().to_string()
        };
        let text =
            "invalid key: failed to compute combined key: the shares do not open this add-on";
        assert_eq!(refusal(&config, tenant, &too_few), text);
        assert_eq!(refusal(&config, TenantId::from_bytes([6; 16]), &key), text);
        let mut moved = config;
        moved.generation = 2;
        assert_eq!(refusal(&moved, tenant, &key), text);
    }

    #[test]
    fn a_configuration_has_one_hash_for_each_share() {
        let (mut config, _, root) = sample(1);
        config.share_hashes.pop();
        let row = config
            .encode(&root.mac_key().unwrap(), TenantId::from_bytes(TENANT))
            .unwrap();
        assert!(SealConfig::claim(&row).is_err());
    }

    #[test]
    fn the_largest_configuration_fits_one_row_of_any_store() {
        let root = RootKey::generate(&OsRandom);
        let quorum = Quorum::new(255, 2).unwrap();
        let tenant = TenantId::from_bytes(TENANT);
        let (config, _) = SealConfig::create(tenant, quorum, 1, &root, &OsRandom).unwrap();
        let row = config.encode(&root.mac_key().unwrap(), tenant).unwrap();
        assert!(row.len() < 64 * 1024);
    }
}
