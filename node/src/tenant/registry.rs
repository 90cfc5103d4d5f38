//! The registry: which add-ons exist. Its rows are plaintext, because they must be readable while everything is
//! sealed; they hold a name, an organisation and counters, nothing secret.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::revoked;
use crate::auth::biscuit::Role;
use crate::auth::token::id;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::store::change::Facet;
use crate::store::key::{Key, KeyRange, Part, Pseudonym, Scope, Table};
use crate::store::tools::life;
use crate::store::{Store, Transaction, transact};

/// The longest name of an add-on or an organisation, as a DNS label: an add-on can be chosen by host name.
const MAX_NAME_BYTES: usize = 63;

/// How many registry rows are read in one go.
const PAGE_ROWS: usize = 1000;

/// How many add-ons one store may hold. Each costs a node some kilobytes and an actor even while it is sealed.
pub const MAX_ADD_ONS: usize = 10_000;

/// One add-on, as everybody may know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddOn {
    /// Its id, for life.
    pub id: TenantId,
    /// Its name, unique in the store.
    pub name: String,
    /// Whose it is.
    pub org: String,
    /// When it was made.
    pub created: Timestamp,
    /// The random bytes that its opaque tokens begin with, in hexadecimal.
    #[serde(with = "hex::serde")]
    pub tag: [u8; 8],
    /// Root Biscuits of another epoch are void.
    pub root_token_epoch: u64,
    /// User Biscuits of another epoch are void.
    pub user_token_epoch: u64,
}

/// Checks a name that a person chose.
///
/// # Errors
/// [`Error::Invalid`] naming `field` when it is empty, too long, or has other characters than letters, digits, `-`, `_`.
fn checked_name(field: &'static str, name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(Error::invalid(
            field,
            format!("{field} must be 1 to {MAX_NAME_BYTES} letters, digits, '-' or '_'"),
        ));
    }
    Ok(())
}

/// Makes an add-on. It has no keys yet: its owner initialises it.
///
/// # Errors
/// [`Error::Invalid`] for a bad or taken name, or when there are [`MAX_ADD_ONS`] already.
pub async fn create(
    store: &dyn Store,
    random: &OsRandom,
    now: Timestamp,
    name: &str,
    org: &str,
) -> Result<AddOn, Error> {
    let addon = fresh(random, now, name, org)?;
    transact(store, async |transaction, attempt| {
        if let Some(owner) = transaction.get(&name_key(name)).await? {
            // An earlier round of this very call may have committed; the id tells.
            if attempt.maybe_committed && owner == addon.id.as_bytes() {
                return Ok(());
            }
            return Err(Error::invalid(
                "name",
                format!("add-on {name:?} exists already"),
            ));
        }
        if list_in(transaction).await?.len() >= MAX_ADD_ONS {
            return Err(Error::bad_request(format!(
                "there are {MAX_ADD_ONS} add-ons already"
            )));
        }
        insert(transaction, &addon)
    })
    .await?;
    Ok(addon)
}

/// Makes the first add-on of an empty store; in another one it changes nothing. Nodes that start together on an empty
/// store agree on one add-on: the commit of the others conflicts, and then they find it.
///
/// # Errors
/// [`Error::Invalid`] for a bad name, or what the store says.
pub async fn create_first(
    store: &dyn Store,
    random: &OsRandom,
    now: Timestamp,
    name: &str,
    org: &str,
) -> Result<(), Error> {
    let addon = fresh(random, now, name, org)?;
    transact(store, async |transaction, _| {
        // A copy into this store may have begun since the node looked.
        life::refuse_unfinished(transaction).await?;
        // Damaged rows are rows: a store that has any is not empty.
        let all = KeyRange::rows(Scope::Node, Table::AddOn, &[]);
        match transaction.range(&all, 1, false).await?.is_empty() {
            true => insert(transaction, &addon),
            false => Ok(()),
        }
    })
    .await
    .map(drop)
}

/// An add-on that is in no store yet.
fn fresh(random: &OsRandom, now: Timestamp, name: &str, org: &str) -> Result<AddOn, Error> {
    checked_name("name", name)?;
    checked_name("org", org)?;
    Ok(AddOn {
        id: TenantId::generate(random),
        name: name.to_owned(),
        org: org.to_owned(),
        created: now,
        tag: id::generate_tag(random),
        root_token_epoch: 1,
        user_token_epoch: 1,
    })
}

/// All add-ons, by id.
///
/// # Errors
/// What the store says.
pub async fn list(store: &dyn Store) -> Result<Vec<AddOn>, Error> {
    let (addons, _) = transact(store, async |transaction, _| list_in(transaction).await).await?;
    Ok(addons)
}

/// The add-on with this id or name.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn find(store: &dyn Store, id_or_name: &str) -> Result<AddOn, Error> {
    let (addon, _) = transact(store, async |transaction, _| {
        find_in(transaction, id_or_name).await
    })
    .await?;
    Ok(addon)
}

/// Removes an add-on with everything in it. There is no way back: without its rows, shares open nothing.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn delete(store: &dyn Store, id_or_name: &str) -> Result<AddOn, Error> {
    // By the id found first: a commit in doubt is run again, and then there is nothing to find any more.
    let addon = find(store, id_or_name).await?;
    transact(store, async |transaction, _| {
        transaction.clear(&id_key(addon.id));
        transaction.clear(&name_key(&addon.name));
        transaction.clear_range(&KeyRange::scope(Scope::Tenant(addon.id)));
        transaction.append_change(&Facet::AddOn.encode(addon.id));
        Ok(())
    })
    .await?;
    Ok(addon)
}

/// Raises the token epochs of these roles: every root or user Biscuit made before is void. Their single revocations are
/// forgotten, since they say nothing any more.
///
/// # Errors
/// [`Error::NotFound`] when there is no such add-on.
pub async fn rotate_tokens(
    store: &dyn Store,
    id_or_name: &str,
    root: bool,
    user: bool,
) -> Result<AddOn, Error> {
    // The epoch that this call wants is fixed in its first round, so that a commit in doubt is not applied twice.
    let before = find(store, id_or_name).await?;
    let (addon, _) = transact(store, async |transaction, _| {
        let mut addon = find_in(transaction, &before.id.to_string()).await?;
        let root = root && addon.root_token_epoch <= before.root_token_epoch;
        let user = user && addon.user_token_epoch <= before.user_token_epoch;
        if root {
            revoked::clear(transaction, addon.id, Role::Root);
            addon.root_token_epoch = before.root_token_epoch + 1;
        }
        if user {
            revoked::clear(transaction, addon.id, Role::User);
            addon.user_token_epoch = before.user_token_epoch + 1;
        }
        if root && user {
            revoked::clear_all(transaction, addon.id);
        }
        write(transaction, &addon)?;
        Ok(addon)
    })
    .await?;
    Ok(addon)
}

/// Writes an add-on that is new in this store.
fn insert(transaction: &mut dyn Transaction, addon: &AddOn) -> Result<(), Error> {
    transaction.set(&name_key(&addon.name), addon.id.as_bytes());
    write(transaction, addon)
}

fn write(transaction: &mut dyn Transaction, addon: &AddOn) -> Result<(), Error> {
    let row = serde_json::to_vec(addon)
        .map_err(|_| Error::Bug("an add-on could not be encoded".into()))?;
    transaction.set(&id_key(addon.id), &row);
    transaction.append_change(&Facet::AddOn.encode(addon.id));
    Ok(())
}

async fn find_in(transaction: &mut dyn Transaction, id_or_name: &str) -> Result<AddOn, Error> {
    let id = match id_or_name.parse::<TenantId>() {
        Ok(id) => id,
        Err(_) => {
            let owner = transaction.get(&name_key(id_or_name)).await?;
            let owner = owner.ok_or_else(|| unknown(id_or_name))?;
            let owner = <[u8; 16]>::try_from(owner)
                .map_err(|_| Error::Corrupt("an add-on's name row".into()))?;
            TenantId::from_bytes(owner)
        }
    };
    let row = transaction.get(&id_key(id)).await?;
    decode(&row.ok_or_else(|| unknown(id_or_name))?)
}

async fn list_in(transaction: &mut dyn Transaction) -> Result<Vec<AddOn>, Error> {
    let mut range = KeyRange::rows(Scope::Node, Table::AddOn, &[]);
    let mut addons = Vec::new();
    loop {
        let page = transaction.range(&range, PAGE_ROWS, false).await?;
        for (key, row) in &page {
            match decode(row) {
                Ok(addon) => addons.push(addon),
                // One damaged row must not take the others down.
                Err(error) => tracing::error!(%error, ?key, "an add-on is left out"),
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE_ROWS => {
                range.begin = last.as_bytes().to_vec();
                range.begin.push(0);
            }
            _ => return Ok(addons),
        }
    }
}

fn unknown(id_or_name: &str) -> Error {
    Error::NotFound(Some(format!("there is no add-on {id_or_name:?}")))
}

/// The add-on that a registry row tells of.
///
/// # Errors
/// [`Error::Corrupt`] when it tells of none.
pub fn decode(row: &[u8]) -> Result<AddOn, Error> {
    serde_json::from_slice(row).map_err(|_| Error::Corrupt("a registry row".into()))
}

fn id_key(id: TenantId) -> Key {
    let part = Part::Name(Pseudonym(*id.as_bytes()));
    Key::row(Scope::Node, Table::AddOn, &[part])
}

/// Where the owner of a name is filed.
pub fn name_key(name: &str) -> Key {
    let digest = Sha256::digest(name.as_bytes());
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(digest) {
        *to = from;
    }
    Key::row(
        Scope::Node,
        Table::AddOnName,
        &[Part::Name(Pseudonym(half))],
    )
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::store::embedded::EmbeddedStore;

    async fn create_named(store: &dyn Store, name: &str) -> Result<AddOn, Error> {
        create(store, &OsRandom, Timestamp(7), name, "orga_1").await
    }

    #[actix::test]
    async fn addons_are_made_found_and_deleted() {
        let store = EmbeddedStore::in_memory().unwrap();
        let made = create_named(&store, "myKMS").await.unwrap();
        assert_eq!(find(&store, "myKMS").await.unwrap(), made);
        assert_eq!(find(&store, &made.id.to_string()).await.unwrap(), made);
        assert_eq!(list(&store).await.unwrap(), std::slice::from_ref(&made));
        delete(&store, "myKMS").await.unwrap();
        assert!(matches!(
            find(&store, "myKMS").await,
            Err(Error::NotFound(_))
        ));
        assert!(list(&store).await.unwrap().is_empty());
        create_named(&store, "myKMS").await.unwrap();
    }

    #[actix::test]
    async fn nodes_that_start_together_agree_on_one_first_add_on() {
        let store = EmbeddedStore::in_memory().unwrap();
        let start = |name: &'static str| create_first(&store, &OsRandom, Timestamp(7), name, "o");
        let started = join_all(["a", "a", "b", "a"].map(start)).await;
        assert!(started.iter().all(Result::is_ok), "{started:?}");
        let first = list(&store).await.unwrap();
        assert_eq!(first.len(), 1);
        start("c").await.unwrap();
        assert_eq!(list(&store).await.unwrap(), first);
    }

    #[actix::test]
    async fn rotating_tokens_raises_the_epochs_asked_for() {
        let store = EmbeddedStore::in_memory().unwrap();
        create_named(&store, "a").await.unwrap();
        let rotated = rotate_tokens(&store, "a", false, true).await.unwrap();
        assert_eq!((rotated.root_token_epoch, rotated.user_token_epoch), (1, 2));
        rotate_tokens(&store, "a", true, true).await.unwrap();
        let addon = find(&store, "a").await.unwrap();
        assert_eq!((addon.root_token_epoch, addon.user_token_epoch), (2, 3));
    }

    #[actix::test]
    async fn bad_and_taken_names_are_refused() {
        let store = EmbeddedStore::in_memory().unwrap();
        create_named(&store, "a").await.unwrap();
        for name in ["a", "", "a b", "a/b", "é", &"x".repeat(64)] {
            let error = create_named(&store, name).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Invalid {
                        field: Some("name"),
                        ..
                    }
                ),
                "{name}: {error}"
            );
        }
    }
}
