//! Making a token: which of what was asked for is granted. Pure: it turns a request and its maker's rights into an
//! entry, or says why not, in Vault's words.

use std::collections::BTreeMap;

use super::entry::{LifetimeLimits, Origin, TokenEntry, expiry, granted_ttl_s};
use super::id;
use super::tree::MAX_DEPTH;
use crate::auth::builtin;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::fields::Fields;
use crate::rng::OsRandom;
use crate::secret::Secret;
use crate::store::key::Pseudonym;

/// How many policies a token may name, and how many labels it may carry.
const MAX_POLICIES: usize = 256;
const MAX_LABELS: usize = 64;
const MAX_LABEL_BYTES: usize = 512;

/// The parameters of `auth/token/create`.
pub const PARAMETERS: [&str; 16] = [
    "id",
    "policies",
    "meta",
    "no_parent",
    "no_default_policy",
    "renewable",
    "ttl",
    "lease",
    "type",
    "explicit_max_ttl",
    "display_name",
    "num_uses",
    "period",
    "entity_alias",
    "role_name",
    "format",
];

/// Who asks, and what that token may do.
pub struct Maker<'a> {
    /// The maker's own token, where it is a stored one.
    pub token: Option<Pseudonym>,
    /// Its policies.
    pub policies: &'a [String],
    /// How many ancestors it has.
    pub depth: u32,
    /// Whether it is a root token.
    pub is_root: bool,
    /// Whether it is a root token or has `sudo` on the path.
    pub is_privileged: bool,
    /// Whether the new token is an orphan whatever it asks for (`create-orphan`).
    pub orphan: bool,
    /// Whether its own uses are counted; such a token makes no others.
    pub is_limited: bool,
    /// Whether it is a Biscuit with checks of its own. They would not bind what it makes, so it makes nothing.
    pub is_narrowed: bool,
    /// The Biscuit it is or descends from.
    pub origin: Option<Origin>,
}

/// A token about to be stored.
pub struct NewToken {
    /// Its text.
    pub id: Secret<String>,
    /// What is stored.
    pub entry: TokenEntry,
    /// What the maker should know.
    pub warnings: Vec<String>,
}

/// Decides on a request to make a token.
///
/// # Errors
/// [`Error::Invalid`] in Vault's words for each thing that `maker` may not ask for.
pub fn decide(
    fields: &Fields,
    maker: &Maker<'_>,
    path: &str,
    tag: [u8; 8],
    limits: LifetimeLimits,
    random: &OsRandom,
    now: Timestamp,
) -> Result<NewToken, Error> {
    refuse_maker(maker)?;
    require_service_type(fields)?;
    let (parent, depth) = parent(fields, maker)?;
    if fields
        .string("entity_alias")?
        .is_some_and(|alias| !alias.is_empty())
    {
        return Err(Error::invalid(
            "entity_alias",
            "'entity_alias' is only allowed in combination with token role",
        ));
    }
    let policies = policies(fields, maker)?;
    let is_root = policies.iter().any(|policy| policy == "root");
    let period_s = seconds(fields, "period")?;
    if period_s > 0 && !maker.is_privileged {
        return Err(Error::invalid(
            "period",
            "root or sudo privileges required to create periodic token",
        ));
    }
    let explicit_max_ttl_s = seconds(fields, "explicit_max_ttl")?;
    let requested_s = match seconds(fields, "ttl")? {
        0 => seconds(fields, "lease")?,
        ttl => ttl,
    };
    let (ttl_s, capped) = granted_ttl_s(requested_s, period_s, explicit_max_ttl_s, is_root, limits);
    let entry = TokenEntry {
        accessor: id::generate_accessor(random),
        policies,
        path: path.to_owned(),
        display_name: display_name(fields)?,
        meta: labels(fields)?,
        uses_left: uses(fields)?,
        created: now,
        creation_ttl_s: ttl_s,
        explicit_max_ttl_s,
        period_s,
        expires: expiry(now, ttl_s),
        renewable: fields.boolean("renewable")?.unwrap_or(true) && ttl_s > 0,
        last_renewal: None,
        parent,
        depth,
        origin: maker.origin.clone(),
    };
    let warnings = capped
        .then(|| {
            format!(
                "TTL of \"{requested_s}s\" exceeded the effective max_ttl of \"{ttl_s}s\"; TTL value is capped accordingly"
            )
        })
        .into_iter()
        .collect();
    Ok(NewToken {
        id: chosen_or_random(fields, maker, tag, random)?,
        entry,
        warnings,
    })
}

/// Tokens that make no others at all.
fn refuse_maker(maker: &Maker<'_>) -> Result<(), Error> {
    if maker.is_limited {
        return Err(Error::bad_request(
            "restricted use token cannot generate child tokens",
        ));
    }
    if maker.is_narrowed {
        return Err(Error::bad_request(
            "a narrowed token cannot make tokens, because they would not be narrowed",
        ));
    }
    Ok(())
}

/// The token that the new one dies with, and how many ancestors that makes.
fn parent(fields: &Fields, maker: &Maker<'_>) -> Result<(Option<Pseudonym>, u32), Error> {
    let no_parent = fields.boolean("no_parent")?.unwrap_or(false);
    if no_parent && !maker.is_privileged {
        return Err(Error::invalid(
            "no_parent",
            "root or sudo privileges required to create orphan token",
        ));
    }
    let parent = maker.token.filter(|_| !maker.orphan && !no_parent);
    let depth = parent.map_or(0, |_| maker.depth.saturating_add(1));
    if depth > MAX_DEPTH {
        return Err(Error::bad_request(format!(
            "a token can have at most {MAX_DEPTH} ancestors"
        )));
    }
    Ok((parent, depth))
}

fn require_service_type(fields: &Fields) -> Result<(), Error> {
    match fields.string("type")?.as_deref() {
        None | Some("" | "service" | "default") => Ok(()),
        Some("batch") => Err(Error::invalid(
            "type",
            "batch tokens are not supported by this server; use type=service",
        )),
        Some(_) => Err(Error::invalid("type", "invalid 'token_type' value")),
    }
}

fn policies(fields: &Fields, maker: &Maker<'_>) -> Result<Vec<String>, Error> {
    let requested = fields.list("policies")?.unwrap_or_default();
    if requested.len() > MAX_POLICIES {
        return Err(Error::invalid(
            "policies",
            format!("a token can have at most {MAX_POLICIES} policies"),
        ));
    }
    let inherits = requested.is_empty();
    let mut policies: Vec<String> = if inherits {
        maker.policies.to_vec()
    } else {
        requested
            .iter()
            .map(|policy| policy.trim().to_lowercase())
            .filter(|policy| !policy.is_empty())
            .collect()
    };
    if let Some(reserved) = policies.iter().find(|policy| builtin::is_reserved(policy)) {
        return Err(Error::invalid(
            "policies",
            format!("cannot assign policy {reserved:?}"),
        ));
    }
    let wants_root = policies.iter().any(|policy| policy == "root");
    if wants_root && !maker.is_root {
        return Err(Error::invalid(
            "policies",
            "root tokens may not be created without parent token being root",
        ));
    }
    let subset = policies
        .iter()
        .all(|policy| policy == "default" || maker.policies.contains(policy));
    if !maker.is_privileged && !subset {
        return Err(Error::invalid(
            "policies",
            "child policies must be subset of parent",
        ));
    }
    if wants_root {
        return Ok(vec!["root".to_owned()]);
    }
    let no_default = fields.boolean("no_default_policy")?.unwrap_or(false);
    if no_default {
        policies.retain(|policy| policy != "default");
    } else {
        policies.push("default".to_owned());
    }
    policies.sort_unstable();
    policies.dedup();
    Ok(policies)
}

/// A parameter that is a length of time, in seconds; absent is 0.
fn seconds(fields: &Fields, name: &'static str) -> Result<i64, Error> {
    match fields.duration(name)?.unwrap_or_default().seconds() {
        negative if negative < 0 => Err(Error::invalid(name, format!("{name} must be positive"))),
        seconds => Ok(seconds),
    }
}

fn uses(fields: &Fields) -> Result<i64, Error> {
    match fields.integer("num_uses")?.unwrap_or(0) {
        negative if negative < 0 => Err(Error::invalid(
            "num_uses",
            "number of uses cannot be negative",
        )),
        uses => Ok(uses),
    }
}

fn display_name(fields: &Fields) -> Result<String, Error> {
    let given = fields.string("display_name")?.unwrap_or_default();
    if given.len() > MAX_LABEL_BYTES {
        return Err(Error::invalid("display_name", "display_name is too long"));
    }
    let readable: String = given
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => character,
            _ => '-',
        })
        .collect();
    let readable = readable.trim_matches('-');
    Ok(if readable.is_empty() {
        "token".to_owned()
    } else {
        format!("token-{readable}")
    })
}

fn labels(fields: &Fields) -> Result<Option<BTreeMap<String, String>>, Error> {
    let labels = fields.map("meta")?.filter(|labels| !labels.is_empty());
    let too_long = |labels: &BTreeMap<String, String>| {
        labels.len() > MAX_LABELS
            || labels
                .iter()
                .any(|(key, value)| key.len() > MAX_LABEL_BYTES || value.len() > MAX_LABEL_BYTES)
    };
    if labels.as_ref().is_some_and(too_long) {
        return Err(Error::invalid(
            "meta",
            format!("meta can have at most {MAX_LABELS} entries of {MAX_LABEL_BYTES} bytes each"),
        ));
    }
    Ok(labels)
}

fn chosen_or_random(
    fields: &Fields,
    maker: &Maker<'_>,
    tag: [u8; 8],
    random: &OsRandom,
) -> Result<Secret<String>, Error> {
    match fields.string("id")?.filter(|id| !id.is_empty()) {
        None => Ok(id::generate(random, tag)),
        Some(_) if !maker.is_privileged => Err(Error::invalid(
            "id",
            "root or sudo privileges required to specify token id",
        )),
        Some(chosen) => {
            let chosen = Secret::new(chosen);
            id::checked_choice(chosen.expose())?;
            Ok(chosen)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LifetimeLimits = LifetimeLimits {
        default_ttl_s: 2_764_800,
        max_ttl_s: 2_764_800,
    };

    fn make(body: &str, privileged: bool, root: bool) -> Result<NewToken, Error> {
        let policies = if root {
            vec!["root".to_owned()]
        } else {
            vec!["default".to_owned(), "reader".to_owned()]
        };
        let maker = Maker {
            token: Some(Pseudonym([1; 16])),
            policies: &policies,
            depth: 0,
            is_root: root,
            is_privileged: privileged || root,
            orphan: false,
            is_limited: false,
            is_narrowed: false,
            origin: None,
        };
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        decide(
            &fields,
            &maker,
            "auth/token/create",
            [9; 8],
            LIMITS,
            &OsRandom,
            Timestamp(0),
        )
    }

    fn entry(body: &str, privileged: bool, root: bool) -> TokenEntry {
        make(body, privileged, root).unwrap().entry
    }

    #[test]
    fn policies_are_inherited_or_a_subset() {
        assert_eq!(entry("", false, false).policies, ["default", "reader"]);
        let body = r#"{"policies":["Reader","reader"]}"#;
        assert_eq!(entry(body, false, false).policies, ["default", "reader"]);
        let body = r#"{"policies":["reader"],"no_default_policy":true}"#;
        assert_eq!(entry(body, false, false).policies, ["reader"]);
        assert!(make(r#"{"policies":["other"]}"#, false, false).is_err());
        assert_eq!(
            entry(r#"{"policies":["other"]}"#, true, false).policies,
            ["default", "other"]
        );
        assert!(make(r#"{"policies":["root"]}"#, true, false).is_err());
        assert_eq!(
            entry(r#"{"policies":["root","x"]}"#, true, true).policies,
            ["root"]
        );
    }

    #[test]
    fn privileges_are_needed_for_what_outlives_the_maker() {
        for body in [
            r#"{"no_parent":true}"#,
            r#"{"period":"1h"}"#,
            r#"{"id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}"#,
        ] {
            assert!(make(body, false, false).is_err(), "{body}");
            make(body, true, false).unwrap();
        }
        assert_eq!(entry(r#"{"no_parent":true}"#, true, false).parent, None);
        assert_eq!(entry("", true, false).parent, Some(Pseudonym([1; 16])));
    }

    #[test]
    fn limited_and_narrowed_tokens_make_none() {
        for (is_limited, is_narrowed) in [(true, false), (false, true)] {
            let maker = Maker {
                token: None,
                policies: &["root".to_owned()],
                depth: 0,
                is_root: true,
                is_privileged: true,
                orphan: false,
                is_limited,
                is_narrowed,
                origin: None,
            };
            let fields = Fields::default();
            let now = Timestamp(0);
            let made = decide(&fields, &maker, "p", [9; 8], LIMITS, &OsRandom, now);
            assert!(made.is_err());
        }
    }

    #[test]
    fn lifetimes_are_capped_with_a_warning() {
        let token = make(r#"{"ttl":"9999h"}"#, false, false).unwrap();
        assert_eq!(token.entry.creation_ttl_s, LIMITS.max_ttl_s);
        assert!(token.warnings[0].contains("capped"), "{:?}", token.warnings);
        let zero =
            r#"{"ttl":"0s","explicit_max_ttl":"0s","period":"0s","display_name":"","type":""}"#;
        assert_eq!(
            entry(zero, false, false).creation_ttl_s,
            LIMITS.default_ttl_s
        );
        assert_eq!(entry("", false, true).expires, None);
        assert!(make(r#"{"ttl":"-1s"}"#, false, false).is_err());
    }

    #[test]
    fn bad_values_name_their_field() {
        for (body, name) in [
            (r#"{"num_uses":-1}"#, "num_uses"),
            (r#"{"type":"batch"}"#, "type"),
            (r#"{"entity_alias":"x"}"#, "entity_alias"),
            (r#"{"policies":["response-wrapping"]}"#, "policies"),
            (r#"{"ttl":"soon"}"#, "ttl"),
            (r#"{"policies":{"a":1}}"#, "policies"),
            (r#"{"meta":[1]}"#, "meta"),
        ] {
            match make(body, true, true) {
                Err(Error::Invalid {
                    field: Some(field), ..
                }) => assert_eq!(field, name),
                other => panic!("{body}: {:?}", other.map(|token| token.entry)),
            }
        }
    }

    #[test]
    fn display_names_are_made_readable() {
        assert_eq!(entry("", false, false).display_name, "token");
        assert_eq!(
            entry(r#"{"display_name":"a b"}"#, false, false).display_name,
            "token-a-b"
        );
    }
}
