//! New shares: Vault's `sys/rekey` and OpenBao's `sys/rotate/root`. Recovery keys belong to automatic unsealing, which
//! there is none of; shares for backup would have to be encrypted with PGP, which is not supported.

use serde_json::{Map, Value, json};

use super::ceremony::{Asked, Family, Texts, done, members};
use crate::engines::Verb;
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::Session;
use crate::seal::attempt::Purpose;
use crate::seal::rekey::{RekeyRequest, Rekeyed};
use crate::seal::verification::{self, Verification, Verified};
use crate::seal::{Quorum, Share};
use crate::secret::Secret;

/// `sys/rekey/...`, but for backups; `path` is what follows. `None` for a verb that the route does not have.
///
/// # Errors
/// [`Error::Denied`], [`Error::Sealed`], [`Error::Invalid`] in Vault's words.
pub async fn bare(asked: &Asked<'_>, path: &str) -> Result<Option<Answer>, Error> {
    let answer = match (path, asked.verb()) {
        ("init", Verb::Read) => status(asked).await?,
        ("init", Verb::Write) => begin(asked).await?,
        ("init", Verb::Delete) => cancel(asked).await?,
        ("update", Verb::Write) => update(asked).await?,
        ("verify", Verb::Read) => verify_status(asked).await?,
        ("verify", Verb::Write) => verify(asked).await?,
        ("verify", Verb::Delete) => verify_restart(asked).await?,
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// `sys/rotate/root/...` and `sys/rotate/recovery/...`; `path` is what follows `sys/rotate/`.
///
/// # Errors
/// As [`bare`].
pub async fn enveloped(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let asked = Asked::within(session).await?;
    match path.split_once('/') {
        Some(("root" | "recovery", "backup")) => backup(asked.verb()),
        Some(("root", route @ ("init" | "update" | "verify"))) => bare(&asked, route)
            .await?
            .ok_or(Error::UnsupportedOperation),
        Some(("recovery", "init" | "update")) => {
            Err(Error::bad_request("recovery keys not supported"))
        }
        Some(("recovery", "verify")) => Err(no_configuration(&asked)),
        _ => Err(super::unsupported_path()),
    }
}

/// `sys/rekey/backup` and its namesakes: there never is one.
///
/// # Errors
/// [`Error::Invalid`] in Vault's words.
pub fn backup(verb: Verb) -> Result<Answer, Error> {
    match verb {
        Verb::Read => Err(Error::bad_request("no backed-up keys found")),
        Verb::Delete => Ok(done()),
        _ => Err(Error::UnsupportedOperation),
    }
}

/// `sys/rekey/backup` with a token.
///
/// # Errors
/// [`Error::Denied`], and as [`backup`].
pub async fn backup_within(session: &Session<'_>) -> Result<Answer, Error> {
    backup(Asked::within(session).await?.verb())
}

fn texts(asked: &Asked<'_>) -> Texts {
    match asked.family {
        Family::Bare => Texts {
            none: "no barrier rekey in progress",
            nonce: "incorrect nonce supplied; nonce for this rekey operation is",
            key: "'key' must be specified in request body as JSON",
        },
        Family::Enveloped => Texts {
            none: "no rotation in progress",
            nonce: "incorrect nonce supplied; nonce for rotation is",
            key: "missing required field 'key'",
        },
    }
}

fn no_configuration(asked: &Asked<'_>) -> Error {
    Error::bad_request(match asked.family {
        Family::Bare => "no rekey configuration found",
        Family::Enveloped => "no rotation configuration found",
    })
}

async fn begin(asked: &Asked<'_>) -> Result<Answer, Error> {
    let request = requested(asked)?;
    let in_progress = || {
        Error::bad_request(match asked.family {
            Family::Bare => "rekey already in progress",
            Family::Enveloped => "rotation already in progress",
        })
    };
    let is_begun = asked.seal().progress(Purpose::Rekey).nonce.is_some();
    if is_begun || pending(asked).await?.is_some() {
        return Err(in_progress());
    }
    asked
        .seal()
        .start_attempt(Purpose::Rekey, request.parameters()?)
        .await?;
    status(asked).await
}

fn requested(asked: &Asked<'_>) -> Result<RekeyRequest, Error> {
    let fields = &asked.fields;
    let shares = fields.integer("secret_shares")?.unwrap_or(0);
    let threshold = fields.integer("secret_threshold")?.unwrap_or(0);
    let has_pgp_keys = fields
        .list("pgp_keys")?
        .is_some_and(|keys| !keys.is_empty());
    if has_pgp_keys {
        return Err(Error::invalid(
            "pgp_keys",
            "pgp_keys is not supported: the new key shares are returned as they are",
        ));
    }
    if fields.boolean("backup")?.unwrap_or(false) {
        return Err(Error::invalid(
            "backup",
            "cannot request a backup of the new keys without providing PGP keys for encryption, \
             which is not supported",
        ));
    }
    let quorum = Quorum::new(shares, threshold).map_err(|error| {
        let name = match asked.family {
            Family::Bare => "rekey",
            Family::Enveloped => "rotate",
        };
        let text = error.to_string();
        Error::bad_request(text.replacen("invalid seal", &format!("invalid {name} seal"), 1))
    })?;
    Ok(RekeyRequest {
        quorum,
        require_verification: fields.boolean("require_verification")?.unwrap_or(false),
    })
}

async fn cancel(asked: &Asked<'_>) -> Result<Answer, Error> {
    asked.seal().cancel(Purpose::Rekey).await?;
    verification::cancel(asked.view()).await?;
    Ok(done())
}

async fn status(asked: &Asked<'_>) -> Result<Answer, Error> {
    let progress = asked.seal().progress(Purpose::Rekey);
    let (nonce, quorum, verification) = match (pending(asked).await?, &progress.parameters) {
        (Some(pending), _) => (pending.rekey_nonce, pending.quorum, Some(pending.nonce)),
        (None, Some(parameters)) => {
            let request = RekeyRequest::of(parameters)?;
            let nonce = progress.nonce.map(|nonce| nonce.to_string());
            let verification = request.require_verification.then(String::new);
            (nonce.unwrap_or_default(), request.quorum, verification)
        }
        (None, None) => return not_begun(asked, progress.required),
    };
    let mut data = members([
        ("nonce", json!(nonce)),
        ("started", json!(true)),
        ("t", json!(quorum.threshold())),
        ("n", json!(quorum.shares())),
        ("progress", json!(progress.given)),
        ("required", json!(progress.required)),
    ]);
    describe_verification(asked, &mut data, verification);
    asked.answer(&data)
}

fn not_begun(asked: &Asked<'_>, required: u8) -> Result<Answer, Error> {
    let mut data = members([
        ("started", json!(false)),
        ("t", json!(0)),
        ("n", json!(0)),
        ("required", json!(required)),
    ]);
    if asked.family == Family::Bare {
        data.extend(members([("nonce", json!("")), ("progress", json!(0))]));
        describe_verification(asked, &mut data, None);
    }
    asked.answer(&data)
}

/// Adds what is said of PGP and verification. `nonce` is `None` when none is required, and empty when it is not on yet.
fn describe_verification(asked: &Asked<'_>, data: &mut Map<String, Value>, nonce: Option<String>) {
    data.insert("verification_required".into(), json!(nonce.is_some()));
    let nonce = nonce.unwrap_or_default();
    match asked.family {
        Family::Bare => {
            data.insert("pgp_fingerprints".into(), Value::Null);
            data.insert("backup".into(), json!(false));
            if !nonce.is_empty() {
                data.insert("verification_nonce".into(), json!(nonce));
            }
        }
        Family::Enveloped => {
            data.insert("verification_nonce".into(), json!(nonce));
        }
    }
}

async fn update(asked: &Asked<'_>) -> Result<Answer, Error> {
    let texts = texts(asked);
    asked.key(&texts)?;
    if let Some(pending) = pending(asked).await? {
        return Err(Error::bad_request(format!(
            "rekey operation already finished; verification must be performed; nonce for the verification operation is {:?}",
            pending.nonce
        )));
    }
    let (before, given) = asked.give(Purpose::Rekey, &texts).await?;
    let Some(outcome) = given.outcome else {
        return status(asked).await;
    };
    let rekeyed = Rekeyed::decode(&outcome)?;
    let shares = |encode: fn(&Share) -> Secret<String>| {
        let texts = rekeyed.shares.iter().map(encode);
        texts.map(|text| text.expose().clone()).collect::<Vec<_>>()
    };
    let mut data = members([
        ("nonce", json!(before.nonce.map(|nonce| nonce.to_string()))),
        ("complete", json!(true)),
        ("keys", json!(shares(Share::to_hex))),
        ("keys_base64", json!(shares(Share::to_base64url))),
    ]);
    let nonce = rekeyed.verification_nonce.map(|nonce| nonce.to_string());
    describe_verification(asked, &mut data, nonce);
    data.insert("pgp_fingerprints".into(), Value::Null);
    data.insert("backup".into(), json!(false));
    asked.answer(&data)
}

async fn verify_status(asked: &Asked<'_>) -> Result<Answer, Error> {
    let pending = pending(asked).await?;
    describe(asked, pending)
}

async fn verify_restart(asked: &Asked<'_>) -> Result<Answer, Error> {
    let now = asked.node.clock.now();
    let restarted = verification::restart(asked.view(), &asked.node.random, now).await?;
    describe(asked, restarted)
}

async fn verify(asked: &Asked<'_>) -> Result<Answer, Error> {
    let key = asked.key(&texts(asked))?;
    let nonce = asked.fields.string("nonce")?.unwrap_or_default();
    let share = asked.seal().parse_share(key.expose(), asked.source())?;
    let now = asked.node.clock.now();
    match verification::give(asked.view(), &share, &nonce, now).await? {
        None if asked.seal().progress(Purpose::Rekey).nonce.is_some() => {
            Err(Error::bad_request(match asked.family {
                Family::Bare => "no rekey verification in progress",
                Family::Enveloped => "no rotation verification in progress",
            }))
        }
        None => Err(no_configuration(asked)),
        Some(Verified::Noted(verification)) => {
            asked.seal().share_counted(asked.source());
            describe(asked, Some(verification))
        }
        Some(Verified::Complete) => {
            asked.seal().share_counted(asked.source());
            asked.seal().reread().await?;
            asked.answer(&members([
                ("nonce", json!(nonce)),
                ("complete", json!(true)),
            ]))
        }
    }
}

/// The status of a verification. Before it is on, the rekey's.
fn describe(asked: &Asked<'_>, verification: Option<Verification>) -> Result<Answer, Error> {
    let parameters = asked.seal().progress(Purpose::Rekey).parameters;
    let (started, nonce, quorum, given) = match (verification, parameters) {
        (Some(on), _) => (true, on.nonce, on.quorum, on.given),
        (None, Some(parameters)) => {
            let request = RekeyRequest::of(&parameters)?;
            (false, String::new(), request.quorum, 0)
        }
        (None, None) => return Err(no_configuration(asked)),
    };
    asked.answer(&members([
        ("nonce", json!(nonce)),
        ("started", json!(started)),
        ("t", json!(quorum.threshold())),
        ("n", json!(quorum.shares())),
        ("progress", json!(given)),
    ]))
}

async fn pending(asked: &Asked<'_>) -> Result<Option<Verification>, Error> {
    verification::status(asked.view(), asked.node.clock.now()).await
}
