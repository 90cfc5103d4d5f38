//! The unversioned engines: KV v1, whose secrets belong to the mount, and cubbyhole, where each token has its own that
//! nobody else can reach and that end with the token.
//!
//! A secret is the whole body of the request that wrote it, kept as its exact JSON text.

mod shelf;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use self::shelf::Shelf;
use super::list;
use super::path::{Page, SecretPath, directory};
use crate::barrier::View;
use crate::duration::GoDuration;
use crate::engines::{Call, Engine, Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::store::key::{Pseudonym, Table};

pub use self::shelf::delete_cubbyhole;

/// A mounted KV v1 or cubbyhole engine. It keeps nothing in memory.
pub struct PlainEngine {
    view: View,
    kind: Kind,
}

enum Kind {
    /// KV v1. Secrets that say no `ttl` of their own are good for so many seconds.
    Kv { default_lease_ttl_s: u64 },
    /// Cubbyhole.
    Cubbyhole,
}

impl PlainEngine {
    /// KV v1 on the mount that `view` is limited to. `default_lease_ttl_s` is the mount's.
    pub fn kv(view: View, default_lease_ttl_s: u64) -> Self {
        Self {
            view,
            kind: Kind::Kv {
                default_lease_ttl_s,
            },
        }
    }

    /// Cubbyhole on the mount that `view` is limited to. When a token ends, [`delete_cubbyhole`] must be called.
    pub fn cubbyhole(view: View) -> Self {
        Self {
            view,
            kind: Kind::Cubbyhole,
        }
    }

    /// Whose secrets the call is about.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that is not stored, and so has no cubbyhole.
    fn shelf(&self, call: &Call<'_>) -> Result<Shelf, Error> {
        match self.kind {
            Kind::Kv { .. } => Ok(Shelf::Mount),
            Kind::Cubbyhole => call.token.map(Shelf::Token).ok_or_else(|| {
                Error::bad_request(
                    "cubbyhole operations are only supported by 'service' type tokens",
                )
            }),
        }
    }

    async fn read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let shelf = self.shelf(call)?;
        let path = SecretPath::existing(call.path)?;
        let text = self
            .view
            .run(async |rows| {
                let address = shelf.address(rows, path);
                rows.get(Table::KvPlain, &address).await
            })
            .await?
            .ok_or_else(Error::not_found)?;
        let data: &RawValue = serde_json::from_slice(&text)
            .map_err(|_| Error::Corrupt("a secret is no JSON".into()))?;
        Ok(Reply {
            lease_duration_s: match self.kind {
                Kind::Kv {
                    default_lease_ttl_s,
                } => own_lease_s(&text).unwrap_or(default_lease_ttl_s),
                Kind::Cubbyhole => 0,
            },
            ..Reply::data(&data)?
        })
    }

    async fn write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let shelf = self.shelf(call)?;
        let path = SecretPath::writable(call.path)?;
        let text = body(call.fields)?;
        self.view
            .run_once(call.now, async |rows| {
                let address = shelf.address(rows, path);
                if rows.get(Table::KvPlain, &address).await?.is_none() {
                    shelf.enlist(rows, path)?;
                }
                rows.put(Table::KvPlain, &address, text.as_bytes())
            })
            .await?;
        Ok(Reply::empty())
    }

    async fn delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let shelf = self.shelf(call)?;
        let path = SecretPath::existing(call.path)?;
        self.view
            .run_once(call.now, async |rows| {
                let address = shelf.address(rows, path);
                if rows.get(Table::KvPlain, &address).await?.is_some() {
                    rows.delete(Table::KvPlain, &address);
                    shelf.strike(rows, path).await?;
                }
                Ok(())
            })
            .await?;
        Ok(Reply::empty())
    }

    async fn list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let shelf = self.shelf(call)?;
        let page = Page::parse(call.fields)?;
        let names = shelf
            .names_in(&self.view, directory(call.path)?, &page)
            .await?;
        Reply::keys(&names)
    }

    async fn scan(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let shelf = self.shelf(call)?;
        let page = Page::parse(call.fields)?;
        let names = shelf
            .names_below(&self.view, directory(call.path)?, &page)
            .await?;
        list::scanned(&names)
    }
}

#[async_trait(?Send)]
impl Engine for PlainEngine {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Error> {
        // Of what can never be written nobody learns here why: first comes the policy, then `handle`.
        let (Verb::Write, Ok(shelf), Ok(path)) =
            (call.verb, self.shelf(call), SecretPath::writable(call.path))
        else {
            return Ok(None);
        };
        let found = self
            .view
            .run(async |rows| {
                let address = shelf.address(rows, path);
                rows.get(Table::KvPlain, &address).await
            })
            .await?;
        Ok(Some(found.is_some()))
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Reply, Error> {
        match call.verb {
            Verb::Read => self.read(call).await,
            Verb::Write => self.write(call).await,
            Verb::Delete => self.delete(call).await,
            Verb::List => self.list(call).await,
            Verb::Scan => self.scan(call).await,
            Verb::Patch => Err(Error::UnsupportedOperation),
        }
    }

    fn forget(&self, _name: Pseudonym) {}
}

/// The parameters as one JSON object, each value in its own text.
fn body(fields: &Fields) -> Result<Zeroizing<String>, Error> {
    if fields.is_empty() {
        return Err(Error::bad_request("missing data fields"));
    }
    let members: Vec<_> = fields
        .names()
        .filter_map(|name| Some((Value::from(name).to_string(), fields.raw(name)?)))
        .collect();
    let length = members
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum::<usize>();
    // Long enough from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(length + 1));
    let mut separator = '{';
    for (name, value) in &members {
        text.push(separator);
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        separator = ',';
    }
    text.push('}');
    Ok(text)
}

/// How long a KV v1 secret says itself that it is good for, in its member `ttl` or `lease`.
fn own_lease_s(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Lease<'t> {
        #[serde(borrow)]
        ttl: Option<&'t RawValue>,
        #[serde(borrow)]
        lease: Option<&'t RawValue>,
    }
    let lease: Lease<'_> = serde_json::from_slice(text).ok()?;
    let text = match serde_json::from_str(lease.ttl.or(lease.lease)?.get()).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let duration = GoDuration::parse("ttl", &text).ok()?.unsigned()?;
    Some(duration.as_secs()).filter(|seconds| *seconds > 0)
}
