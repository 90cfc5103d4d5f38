//! Root tokens for holders of shares: Vault's `sys/generate-root` and OpenBao's `sys/generate-root-token`.

use serde_json::{Map, Value, json};

use super::ceremony::{Asked, Family, Texts, done, members};
use crate::engines::Verb;
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::Session;
use crate::seal::Progress;
use crate::seal::attempt::Purpose;
use crate::seal::generate_root::{OTP_BYTES, generate_otp, parameters};
use crate::secret::Secret;

/// What is below either; `path` is what follows. `None` for a verb that the route does not have.
///
/// # Errors
/// [`Error::Denied`], [`Error::Sealed`], [`Error::Invalid`] in Vault's words.
pub async fn bare(asked: &Asked<'_>, path: &str) -> Result<Option<Answer>, Error> {
    let answer = match (path, asked.verb()) {
        ("attempt", Verb::Read) => {
            let progress = asked.seal().progress(Purpose::GenerateRoot);
            asked.answer(&status(asked, &progress, ""))?
        }
        ("attempt", Verb::Write) => begin(asked).await?,
        ("attempt", Verb::Delete) => {
            asked.seal().cancel(Purpose::GenerateRoot).await?;
            done()
        }
        ("update", Verb::Write) => update(asked).await?,
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// `sys/generate-root-token/...`; `path` is what follows.
///
/// # Errors
/// As [`bare`].
pub async fn enveloped(session: &Session<'_>, path: &str) -> Result<Answer, Error> {
    let asked = Asked::within(session).await?;
    match path {
        "attempt" | "update" => bare(&asked, path).await?.ok_or(Error::UnsupportedOperation),
        _ => Err(super::unsupported_path()),
    }
}

async fn begin(asked: &Asked<'_>) -> Result<Answer, Error> {
    let fields = &asked.fields;
    let sent = fields.string("otp")?.filter(|otp| !otp.is_empty());
    let pgp_key = fields.string("pgp_key")?.filter(|key| !key.is_empty());
    if pgp_key.is_some() {
        return Err(Error::invalid(
            "pgp_key",
            "pgp_key is not supported: the root token is encoded with an OTP",
        ));
    }
    let random = &asked.node.random;
    let (otp, shown) = match sent {
        Some(otp) => (Secret::new(otp), false),
        None => (generate_otp(random), true),
    };
    let parameters = parameters(&otp, random)?;
    if asked.seal().progress(Purpose::GenerateRoot).nonce.is_some() {
        return Err(Error::bad_request("root generation already in progress"));
    }
    let progress = asked
        .seal()
        .start_attempt(Purpose::GenerateRoot, parameters)
        .await?;
    let shown = if shown { otp.expose().as_str() } else { "" };
    asked.answer(&status(asked, &progress, shown))
}

async fn update(asked: &Asked<'_>) -> Result<Answer, Error> {
    let texts = Texts {
        none: "no root generation in progress",
        nonce: "incorrect nonce supplied; nonce for this root generation operation is",
        key: match asked.family {
            Family::Bare => "'key' must be specified in request body as JSON",
            Family::Enveloped => "key is required",
        },
    };
    let (before, given) = asked.give(Purpose::GenerateRoot, &texts).await?;
    let encoded = given
        .outcome
        .as_ref()
        .map(|outcome| String::from_utf8_lossy(outcome).into_owned());
    let progress = Progress {
        given: match encoded {
            Some(_) => usize::from(before.required),
            None => given.progress.given,
        },
        ..before
    };
    let mut data = status(asked, &progress, "");
    data.insert("complete".into(), json!(encoded.is_some()));
    data.insert(
        "encoded_token".into(),
        json!(encoded.clone().unwrap_or_default()),
    );
    match asked.family {
        Family::Bare => {
            data.insert(
                "encoded_root_token".into(),
                json!(encoded.unwrap_or_default()),
            );
            data.insert("otp_length".into(), json!(0));
        }
        Family::Enveloped => {
            data.remove("otp");
            data.remove("otp_length");
        }
    }
    asked.answer(&data)
}

fn status(asked: &Asked<'_>, progress: &Progress, otp: &str) -> Map<String, Value> {
    let nonce = progress.nonce.map(|nonce| nonce.to_string());
    let mut data = members([
        ("started", json!(nonce.is_some())),
        ("progress", json!(progress.given)),
        ("required", json!(progress.required)),
        ("complete", json!(false)),
        ("otp", json!(otp)),
        ("otp_length", json!(OTP_BYTES)),
    ]);
    if asked.family == Family::Bare {
        data.extend(members([
            ("encoded_token", json!("")),
            ("encoded_root_token", json!("")),
        ]));
    }
    if asked.family == Family::Bare || nonce.is_some() {
        data.extend(members([
            ("nonce", json!(nonce.unwrap_or_default())),
            ("pgp_fingerprint", json!("")),
        ]));
    }
    data
}
