//! One block of a configuration file, or its top level: gives out values by key, names the key in every complaint, and
//! refuses what nobody asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hcl::{Body, Expression};

use super::ConfigError;
use crate::duration::GoDuration;

/// The prefix of the variables that override a top-level key.
const OVERRIDE_PREFIX: &str = "CONCLAVE_";

/// Whether a variable of the environment is meant for the configuration.
pub(super) fn is_override(name: &str) -> bool {
    name.starts_with(OVERRIDE_PREFIX)
}

pub(super) struct Section {
    /// The file, and the block inside it.
    place: String,
    values: BTreeMap<String, Given>,
    /// The keys asked for so far, which are the keys that exist.
    known: Vec<&'static str>,
}

/// A value as written, and where.
struct Given {
    value: Value,
    place: String,
    key: String,
}

enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
}

impl Section {
    /// The attributes of `body`, which stands at `place`.
    pub(super) fn new(place: String, body: &Body) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for attribute in body.attributes() {
            let key = attribute.key().to_owned();
            let value = plain(attribute.expr()).ok_or_else(|| {
                ConfigError::at(
                    &place,
                    &key,
                    "must be a string, a whole number or a boolean",
                )
            })?;
            let given = Given {
                value,
                place: place.clone(),
                key: key.clone(),
            };
            values.insert(key, given);
        }
        Ok(Self {
            place,
            values,
            known: Vec::new(),
        })
    }

    /// Lays `CONCLAVE_<KEY>` over the keys. Names that turn out to belong to no key are let be: other programs and
    /// Kubernetes put variables of this prefix into an environment.
    pub(super) fn override_with<'a>(
        &mut self,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(OVERRIDE_PREFIX) {
                let given = Given {
                    value: Value::Text(value.to_owned()),
                    place: "environment".into(),
                    key: name.to_owned(),
                };
                self.values.insert(key.to_ascii_lowercase(), given);
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        self.parsed(
            key,
            "must be a string that is not empty",
            |value| match value {
                Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
                _ => None,
            },
        )
    }

    pub(super) fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.parsed(key, "must be true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            Value::Integer(_) => None,
            Value::Text(text) => match text.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
        })
    }

    /// A number of bytes between the two given, both included.
    pub(super) fn bytes(
        &mut self,
        key: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, ConfigError> {
        let rule = format!("must be a number of bytes from {least} to {most}");
        self.parsed(key, &rule, |value| whole(value, least, most))
    }

    /// How many of something, between the two numbers given, both included.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, ConfigError> {
        let rule = format!("must be a number from {least} to {most}");
        self.parsed(key, &rule, |value| {
            whole(value, least.into(), most.into()).and_then(|count| count.try_into().ok())
        })
    }

    /// A length of time between the two given, both included, in Go's syntax or as a number of seconds.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        least: Duration,
        most: Duration,
    ) -> Result<Option<Duration>, ConfigError> {
        let rule = format!(
            "must be a duration such as \"90s\" or \"768h\", from {} to {}",
            go_text(least),
            go_text(most)
        );
        self.parsed(key, &rule, |value| {
            let duration = match value {
                Value::Integer(seconds) => GoDuration::from_seconds(*seconds),
                Value::Text(text) if !text.trim().is_empty() => {
                    GoDuration::parse(key, text).ok()?
                }
                Value::Text(_) | Value::Flag(_) => return None,
            };
            let duration = duration.unsigned()?;
            (least..=most).contains(&duration).then_some(duration)
        })
    }

    /// A value that `parse` understands; `rule` says which those are.
    pub(super) fn word<T>(
        &mut self,
        key: &'static str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.parsed(key, rule, |value| match value {
            Value::Text(text) => parse(text.trim()),
            Value::Integer(_) | Value::Flag(_) => None,
        })
    }

    /// A complaint about this section as a whole.
    pub(super) fn refuse(&self, message: &str) -> ConfigError {
        ConfigError::new(&self.place, message)
    }

    /// A complaint about one key of this section.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::at(&self.place, key, message)
    }

    /// Refuses the keys that nobody asked for.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let unknown = self
            .values
            .values()
            .find(|given| given.place == self.place && !self.known.contains(&given.key.as_str()));
        match unknown {
            None => Ok(()),
            Some(given) if self.known.is_empty() => Err(ConfigError::at(
                &self.place,
                &given.key,
                "unknown key; this block holds none",
            )),
            Some(given) => Err(ConfigError::at(
                &self.place,
                &given.key,
                format!("unknown key; the keys here are {}", self.known.join(", ")),
            )),
        }
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        rule: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.known.push(key);
        match self.values.get(key) {
            None => Ok(None),
            Some(given) => parse(&given.value)
                .map(Some)
                .ok_or_else(|| ConfigError::at(&given.place, &given.key, rule)),
        }
    }
}

/// The value of an expression that needs no evaluation.
fn plain(expression: &Expression) -> Option<Value> {
    match expression {
        Expression::String(text) => Some(Value::Text(text.clone())),
        Expression::Bool(flag) => Some(Value::Flag(*flag)),
        Expression::Number(number) => number.as_i64().map(Value::Integer),
        _ => None,
    }
}

/// A whole number between the two given, both included.
fn whole(value: &Value, least: u64, most: u64) -> Option<u64> {
    let number = match value {
        Value::Integer(number) => u64::try_from(*number).ok()?,
        Value::Text(text) => text.parse().ok()?,
        Value::Flag(_) => return None,
    };
    (least..=most).contains(&number).then_some(number)
}

fn go_text(duration: Duration) -> String {
    GoDuration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)).to_string()
}
