//! What the ceremonies' routes have in common: Vault's older family of routes, bare and open to whoever may unseal, and
//! OpenBao's, in the envelope and for callers with a token.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use super::seal::{source_of, writable};
use super::{generate_root, rekey};
use crate::barrier::View;
use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::fields::Fields;
use crate::http::request::Request;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};
use crate::node::Node;
use crate::seal::attempt::Purpose;
use crate::seal::{Given, Progress, SealHandle};
use crate::secret::Secret;
use crate::tenant::Tenant;
use crate::tenant::gate::Opened;

/// The folders of the older family.
const BARE: [&str; 3] = [
    "sys/rekey/",
    "sys/rekey-recovery-key/",
    "sys/generate-root/",
];

/// Those of the other.
const ENVELOPED: [&str; 3] = [
    "sys/rotate/root/",
    "sys/rotate/recovery/",
    "sys/generate-root-token/",
];

/// The two ways to ask for the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// `sys/rekey`, `sys/generate-root`.
    Bare,
    /// `sys/rotate/root`, `sys/generate-root-token`.
    Enveloped,
}

/// An authorised request for a ceremony of an open add-on.
pub struct Asked<'r> {
    /// How it is asked and answered.
    pub family: Family,
    /// The node.
    pub node: &'r Node,
    /// The request.
    pub request: &'r Request,
    /// Its parameters.
    pub fields: Fields,
    tenant: Arc<Tenant>,
    opened: Arc<Opened>,
}

/// What a family says where they differ.
pub struct Texts {
    /// Nothing was begun.
    pub none: &'static str,
    /// Another nonce; the right one follows.
    pub nonce: &'static str,
    /// No key was sent.
    pub key: &'static str,
}

impl<'r> Asked<'r> {
    /// A request to the older routes.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Sealed`].
    pub async fn bare(node: &'r Node, request: &'r Request) -> Result<Self, Error> {
        let fields = request.fields()?;
        let tenant = writable(node, request, &fields).await?;
        Ok(Self {
            family: Family::Bare,
            node,
            request,
            fields,
            opened: tenant.unsealed()?,
            tenant,
        })
    }

    /// A request with a token.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn within(session: &Session<'r>) -> Result<Self, Error> {
        let fields = session.request.fields()?;
        let operation = plain_operation(session.request.verb);
        session.authorize(operation, &fields).await?;
        Ok(Self {
            family: Family::Enveloped,
            node: session.node,
            request: session.request,
            fields,
            tenant: Arc::clone(&session.tenant),
            opened: Arc::clone(&session.opened),
        })
    }

    /// What to do.
    pub fn verb(&self) -> Verb {
        self.request.verb
    }

    /// The add-on's seal.
    pub fn seal(&self) -> &SealHandle {
        self.tenant.seal()
    }

    /// The add-on's own rows.
    pub fn view(&self) -> &View {
        self.opened.tenant.view()
    }

    /// Whose tries are counted.
    pub fn source(&self) -> IpAddr {
        source_of(self.request)
    }

    /// The share that was sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    pub fn key(&self, texts: &Texts) -> Result<Secret<String>, Error> {
        self.fields
            .required_string("key", texts.key)
            .map(Secret::new)
    }

    /// Gives the share that was sent to the attempt that is on its way, and whose nonce must have been sent too.
    ///
    /// # Errors
    /// [`Error::Invalid`] in Vault's words.
    pub async fn give(&self, purpose: Purpose, texts: &Texts) -> Result<(Progress, Given), Error> {
        let key = self.key(texts)?;
        let before = self.seal().progress(purpose);
        let nonce = before.nonce.ok_or_else(|| Error::bad_request(texts.none))?;
        let sent = self.fields.string("nonce")?.unwrap_or_default();
        if sent != nonce.to_string() {
            let message = format!("{} {:?}", texts.nonce, nonce.to_string());
            return Err(Error::invalid("nonce", message));
        }
        let given = self
            .seal()
            .give(purpose, key.expose(), Some(nonce), self.source())
            .await?;
        if !given.counted && given.outcome.is_none() {
            return Err(Error::invalid(
                "key",
                "given key has already been provided during this generation operation",
            ));
        }
        Ok((before, given))
    }

    /// The answer in the family's form.
    ///
    /// # Errors
    /// [`Error::Bug`] when it cannot be encoded.
    pub fn answer(&self, data: &Map<String, Value>) -> Result<Answer, Error> {
        match self.family {
            Family::Bare => Answer::bare(StatusCode::OK, data),
            Family::Enveloped => Ok(Answer::Enveloped(Reply::data(data)?)),
        }
    }
}

/// Whether the route is one of the older family. Backups are not.
pub fn is_bare(path: &str) -> bool {
    BARE.iter().any(|folder| path.starts_with(folder))
        && !matches!(path, "sys/rekey/backup" | "sys/rekey/recovery-key-backup")
}

/// Whether the route is one of the other family.
pub fn is_enveloped(path: &str) -> bool {
    ENVELOPED.iter().any(|folder| path.starts_with(folder))
}

/// The routes of [`is_bare`]. `None` for a verb that the route does not have.
///
/// # Errors
/// [`Error::Denied`], [`Error::Sealed`], and what the route says.
pub async fn bare(node: &Node, request: &Request) -> Result<Option<Answer>, Error> {
    let asked = Asked::bare(node, request).await?;
    let path = request.path.as_str();
    if let Some(rest) = path.strip_prefix("sys/rekey/") {
        rekey::bare(&asked, rest).await
    } else if let Some(rest) = path.strip_prefix("sys/generate-root/") {
        generate_root::bare(&asked, rest).await
    } else {
        Err(Error::bad_request("recovery rekeying not supported"))
    }
}

/// What is answered where nothing is to be said.
pub fn done() -> Answer {
    Answer::Enveloped(Reply::empty())
}

/// The members of an object.
pub fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
