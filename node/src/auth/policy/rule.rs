//! [`Rule`]: what one policy says about one path, and how it is read from a policy's document.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value as Json;

use super::capability::Capabilities;
use super::document::{Item, Value};
use super::expected::Expected;
use super::pattern::Pattern;
use super::restrictions::{ParameterRules, Restrictions};
use super::template::Template;
use crate::clock::Timestamp;
use crate::duration::GoDuration;

/// The path of a rule as it was written.
#[derive(Clone, PartialEq, Debug)]
pub enum RulePath {
    /// The same for everybody.
    Fixed(Pattern),
    /// Another one for each caller.
    Template(Template),
}

impl RulePath {
    fn parse(path: &str) -> Result<Self, String> {
        let template = Template::parse(path)?;
        // Also for a template: what is filled in holds no wildcard, so those of the text are all there will be.
        let pattern = Pattern::parse(path)?;
        Ok(template.map_or(Self::Fixed(pattern), Self::Template))
    }
}

/// What one policy says about one path.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Which requests it is about.
    pub path: RulePath,
    /// What is granted; with `deny` nothing else.
    pub capabilities: Capabilities,
    /// What is demanded in return; nothing with `deny`.
    pub restrictions: Restrictions,
    /// From when on the rule counts for nothing.
    pub expires_at: Option<Timestamp>,
}

impl Rule {
    /// Reads the members of a path's block.
    ///
    /// # Errors
    /// A sentence for the user that names the path and the key.
    pub fn read(path: &str, items: Vec<Item>) -> Result<Self, String> {
        let named = |message: String| format!("path {path:?}: {message}");
        let mut rule = Self {
            path: RulePath::parse(path).map_err(named)?,
            capabilities: Capabilities::NONE,
            restrictions: Restrictions::default(),
            expires_at: None,
        };
        let mut seen = BTreeSet::new();
        for item in items {
            let key = item.key().to_owned();
            if item.keys.len() > 1 {
                return Err(named(format!("{key} takes no label{}", item.on_line())));
            }
            rule.set(item).map_err(named)?;
            if !seen.insert(key.clone()) {
                return Err(named(format!(
                    "The argument {key:?} was already set. Each argument can only be defined once"
                )));
            }
        }
        rule.finish().map_err(named)
    }

    fn set(&mut self, item: Item) -> Result<(), String> {
        let on_line = item.on_line();
        let Item { keys, value, .. } = item;
        let key = keys.first().map_or("", String::as_str);
        let demands = &mut self.restrictions;
        match key {
            "comment" => text(key, value).map(drop)?,
            "policy" => self.capabilities |= shorthand(&text(key, value)?)?,
            "capabilities" => {
                for name in texts(key, value)? {
                    self.capabilities |= Capabilities::named(&name)
                        .ok_or_else(|| format!("invalid capability {name:?}"))?;
                }
            }
            "allowed_parameters" => demands.allowed_parameters = parameter_rules(key, value)?,
            "denied_parameters" => demands.denied_parameters = parameter_rules(key, value)?,
            "required_parameters" => {
                let names = texts(key, value)?;
                demands.required_parameters =
                    names.iter().map(|name| name.to_lowercase()).collect();
            }
            "min_wrapping_ttl" => demands.min_wrapping_ttl = wrapping_ttl(key, value)?,
            "max_wrapping_ttl" => demands.max_wrapping_ttl = wrapping_ttl(key, value)?,
            "pagination_limit" => demands.pagination_limit = pagination_limit(value)?,
            "expiration" => self.expires_at = moment(value)?,
            "mfa_methods" if value == Value::List(Vec::new()) => {}
            "mfa_methods" | "control_group" | "list_scan_response_keys_filter_path" => {
                return Err(format!(
                    "{key} cannot be enforced by this server{on_line}; remove it to use the policy"
                ));
            }
            _ => return Err(format!("invalid key {key:?}{on_line}")),
        }
        Ok(())
    }

    /// The rule once all its keys are set.
    fn finish(mut self) -> Result<Self, String> {
        let (minimum, maximum) = (
            self.restrictions.min_wrapping_ttl,
            self.restrictions.max_wrapping_ttl,
        );
        if let (Some(minimum), Some(maximum)) = (minimum, maximum)
            && maximum < minimum
        {
            return Err("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned());
        }
        if self.capabilities.contains(Capabilities::DENY) {
            self.capabilities = Capabilities::DENY;
            self.restrictions = Restrictions::default();
        }
        Ok(self)
    }
}

fn shorthand(policy: &str) -> Result<Capabilities, String> {
    if policy.is_empty() {
        return Ok(Capabilities::NONE);
    }
    Capabilities::shorthand(policy).ok_or_else(|| format!("invalid policy {policy:?}"))
}

fn text(key: &str, value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(format!("{key} must be a string")),
    }
}

fn texts(key: &str, value: Value) -> Result<Vec<String>, String> {
    let Value::List(values) = value else {
        return Err(format!("{key} must be a list of strings"));
    };
    values
        .into_iter()
        .map(|value| text(&format!("an element of {key}"), value))
        .collect()
}

fn parameter_rules(key: &str, value: Value) -> Result<ParameterRules, String> {
    let Value::Object(items) = value else {
        return Err(format!("{key} must map names to lists of values"));
    };
    let mut rules = ParameterRules::new();
    for item in items {
        let name = item.key().to_lowercase();
        let Value::List(values) = item.value else {
            return Err(format!("{key}: the values of {name:?} must be a list"));
        };
        let values = values
            .into_iter()
            .map(|value| Ok(Expected::new(json(value)?)))
            .collect::<Result<_, String>>()?;
        if rules.insert(name.clone(), values).is_some() {
            return Err(format!("{key}: {name:?} is given twice"));
        }
    }
    Ok(rules)
}

/// The value as a request would send it.
fn json(value: Value) -> Result<Json, String> {
    Ok(match value {
        Value::Text(text) => Json::from(text),
        Value::Integer(number) => Json::from(number),
        Value::Float(number) => Json::from(number),
        Value::Bool(flag) => Json::from(flag),
        Value::List(values) => values
            .into_iter()
            .map(json)
            .collect::<Result<Vec<_>, _>>()
            .map(Json::from)?,
        Value::Object(items) => {
            let mut members = serde_json::Map::new();
            for item in items {
                let key = item.key().to_owned();
                if item.keys.len() > 1 {
                    return Err(format!("the value {key:?} takes no label"));
                }
                members.insert(key, json(item.value)?);
            }
            Json::from(members)
        }
    })
}

/// Zero is no demand.
fn wrapping_ttl(key: &str, value: Value) -> Result<Option<Duration>, String> {
    let text = match value {
        Value::Text(text) => text,
        Value::Integer(seconds) => seconds.to_string(),
        _ => return Err(format!("error parsing {key}: must be a duration")),
    };
    GoDuration::parse("wrapping_ttl", &text)
        .ok()
        .and_then(GoDuration::unsigned)
        .map(|ttl| Some(ttl).filter(|ttl| !ttl.is_zero()))
        .ok_or_else(|| format!("error parsing {key}: {text:?} is no duration"))
}

/// Zero is no limit.
fn pagination_limit(value: Value) -> Result<Option<u32>, String> {
    let number = match value {
        Value::Integer(number) => Some(number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| u32::try_from(number).ok())
        .map(|limit| Some(limit).filter(|&limit| limit > 0))
        .ok_or_else(|| "pagination_limit must be a whole number, zero or more".to_owned())
}

/// A moment as RFC 3339 or seconds since 1970. Empty text is none.
fn moment(value: Value) -> Result<Option<Timestamp>, String> {
    let seconds = |text: &str| text.parse().ok().map(Timestamp::from_unix_seconds);
    let moment = match &value {
        Value::Text(text) if text.is_empty() => return Ok(None),
        Value::Text(text) => rfc3339(text).or_else(|| seconds(text)),
        Value::Integer(number) => Some(Timestamp::from_unix_seconds(*number)),
        _ => None,
    };
    moment.map(Some).ok_or_else(|| {
        "invalid expiration time: could not parse string as date and time".to_owned()
    })
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    let format = &time::format_description::well_known::Rfc3339;
    let moment = time::OffsetDateTime::parse(text, format).ok()?;
    i64::try_from(moment.unix_timestamp_nanos())
        .ok()
        .map(Timestamp)
}
