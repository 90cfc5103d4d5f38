//! The node's side: [`Biscuits`] verifies signatures once per token, [`VerifiedBiscuit::authorize`] runs the checks on
//! every request. Revocation, token epochs and policies are not looked at here; the caller does that with
//! [`VerifiedBiscuit::identity`] and [`VerifiedBiscuit::revocation_ids`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use biscuit_auth::builder::{Fact, Term, fact, string};
use biscuit_auth::builder_ext::AuthorizerExt;
use biscuit_auth::error::{Format, Token};
use biscuit_auth::{AuthorizerBuilder, AuthorizerLimits, Biscuit, PublicKey};

use crate::auth::biscuit::cache::Cache;
use crate::auth::biscuit::contents::Envelope;
use crate::auth::biscuit::{
    Identity, OperatorPublicKey, RevocationId, decode_text, dialect, pattern,
};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TenantId;

/// What the checks may use. `dialect` keeps every token far below it (the worst takes 2.5 ms without optimisation); this
/// is the second fence. Its clock is the wall's, so a busy machine can use up a short time without any work being done:
/// the library's default of 1 ms fails valid tokens, and even 20 ms were seen to.
const LIMITS: AuthorizerLimits = AuthorizerLimits {
    max_facts: 1000,
    max_iterations: 100,
    max_time: Duration::from_secs(1),
};

/// The request as a token's checks see it: the facts `time`, `operation`, `path` and `tenant`.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The add-on that the request is about; `None` on node-wide routes.
    pub tenant: Option<TenantId>,
    /// `read`, `list`, `scan`, `update` (any POST or PUT), `patch` or `delete`.
    pub operation: &'a str,
    /// The canonical path without `v1/`, the same string that routing and policies see.
    pub path: &'a str,
    /// When the request came in.
    pub now: Timestamp,
}

/// Verifies tokens with the operator's public key, and remembers those it verified.
pub struct Biscuits {
    operator: OperatorPublicKey,
    cache: Cache,
}

impl Biscuits {
    /// A verifier that trusts `operator` and nobody else.
    pub fn new(operator: OperatorPublicKey) -> Self {
        Self {
            operator,
            cache: Cache::default(),
        }
    }

    /// Verifies the signatures of `text` and reads who the bearer is. Tokens that fail are not remembered: there are
    /// too many of them.
    ///
    /// # Errors
    /// [`Error::Denied`] for what is not a token signed by the operator, [`Error::Invalid`] when it is one, but a holder
    /// appended checks that nodes do not evaluate.
    pub fn parse(&self, text: &str) -> Result<Arc<VerifiedBiscuit>, Error> {
        if let Some(known) = self.cache.get(text) {
            return Ok(known);
        }
        let verified = Arc::new(VerifiedBiscuit::verify(text, self.operator)?);
        self.cache.insert(text, Arc::clone(&verified));
        Ok(verified)
    }
}

impl fmt::Debug for Biscuits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Biscuits({})", self.operator)
    }
}

/// A token whose signatures are good. Whether a request may use it, [`Self::authorize`] says.
pub struct VerifiedBiscuit {
    identity: Identity,
    revocation_ids: Vec<RevocationId>,
    /// The token itself, where there is anything to evaluate.
    checked: Option<Biscuit>,
}

impl VerifiedBiscuit {
    fn verify(text: &str, operator: OperatorPublicKey) -> Result<Self, Error> {
        let bytes = decode_text(text).ok_or_else(Error::no_token)?;
        // Shape before signatures, so that garbage costs no curve arithmetic.
        let envelope = Envelope::decode(&bytes).ok_or_else(Error::no_token)?;
        let biscuit = Biscuit::from(bytes.as_slice(), |root_key_id| {
            root_key(operator, root_key_id)
        })
        .map_err(|_| Error::no_token())?;
        let contents = envelope.contents().ok_or_else(Error::no_token)?;
        let identity = contents.identity().ok_or_else(Error::no_token)?;
        dialect::accept(&contents).map_err(|what| {
            Error::invalid("token", format!("a block of this token holds {what}"))
        })?;
        Ok(Self {
            identity,
            revocation_ids: envelope.revocation_ids().to_vec(),
            checked: contents.has_checks().then_some(biscuit),
        })
    }

    /// Whose token it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The ids of all blocks, the authority block's first: the token is revoked when any of them is.
    pub fn revocation_ids(&self) -> &[RevocationId] {
        &self.revocation_ids
    }

    /// The id that revokes this token and what was narrowed from it, but not the token it was narrowed from.
    pub fn own_revocation_id(&self) -> Option<RevocationId> {
        self.revocation_ids.last().copied()
    }

    /// Whether the token was narrowed, so that some requests are denied whatever the policies say.
    pub fn has_checks(&self) -> bool {
        self.checked.is_some()
    }

    /// Runs the token's checks on one request, and refuses requests about another add-on than the token's.
    ///
    /// # Errors
    /// [`Error::Denied`] when a check fails, [`Error::Unavailable`] when the checks ran into a limit.
    pub fn authorize(&self, request: &RequestFacts<'_>) -> Result<(), Error> {
        if let Identity::Addon { tenant, .. } = self.identity
            && request.tenant != Some(tenant)
        {
            return Err(Error::forbidden());
        }
        match &self.checked {
            // Nothing but a check can deny: rules are not accepted, and who the bearer is was read from the authority
            // block when the token was parsed. Building a Datalog world would decide nothing, and costs far more than
            // the cipher of a warm transit request.
            None => Ok(()),
            Some(biscuit) => run_checks(biscuit, request, LIMITS),
        }
    }

    /// For tests of what handles verified tokens.
    #[cfg(test)]
    pub(super) fn without_checks(identity: Identity) -> Self {
        Self {
            identity,
            revocation_ids: Vec::new(),
            checked: None,
        }
    }
}

impl fmt::Debug for VerifiedBiscuit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifiedBiscuit({:?})", self.identity)
    }
}

/// Tokens without a root key id are the operator's. Other ids name keys that this node does not have.
fn root_key(operator: OperatorPublicKey, root_key_id: Option<u32>) -> Result<PublicKey, Format> {
    match root_key_id {
        None => Ok(operator.key()),
        Some(_) => Err(Format::UnknownPublicKey),
    }
}

pub(super) fn run_checks(
    biscuit: &Biscuit,
    request: &RequestFacts<'_>,
    limits: AuthorizerLimits,
) -> Result<(), Error> {
    let builder = AuthorizerBuilder::new()
        .set_limits(limits)
        .register_extern_func(pattern::FUNCTION.to_string(), pattern::function());
    let outcome = request_facts(request)
        .into_iter()
        .try_fold(builder, AuthorizerBuilder::fact)
        .and_then(|builder| builder.allow_all().build(biscuit))
        .and_then(|mut authorizer| authorizer.authorize());
    match outcome {
        Ok(_) => Ok(()),
        Err(Token::RunLimit(_)) => Err(Error::Unavailable(
            "the token's checks took too long, try again".into(),
        )),
        Err(_) => Err(Error::forbidden()),
    }
}

fn request_facts(request: &RequestFacts<'_>) -> Vec<Fact> {
    let seconds = u64::try_from(request.now.unix_seconds()).unwrap_or(0);
    let mut facts = vec![
        fact("time", &[Term::Date(seconds)]),
        fact("operation", &[string(request.operation)]),
        fact("path", &[string(request.path)]),
    ];
    if let Some(tenant) = request.tenant {
        facts.push(fact("tenant", &[string(&tenant.to_string())]));
    }
    facts
}
