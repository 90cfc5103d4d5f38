//! Policies: Vault's language for who may do what, read from HCL1 or JSON into [`Policy`].
//!
//! A policy is refused as a whole when anything in it is unknown, or known but not enforceable here (`mfa_methods`,
//! `control_group`): a restriction that is silently ignored would be a hole. What the rules mean together is decided in
//! [`acl`](super::acl).

mod capability;
mod document;
mod expected;
mod hcl1;
mod json;
mod name;
mod pattern;
mod restrictions;
mod rule;
mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::capability::Capabilities;
pub use self::document::MAX_TEXT_BYTES;
pub use self::expected::Expected;
pub use self::name::PolicyName;
pub use self::pattern::Pattern;
pub use self::restrictions::{OverLimit, ParameterRules, Restrictions};
pub use self::rule::{Rule, RulePath};
pub use self::template::Template;

/// How many rules a policy may hold, and the policies of one token together. Compiled, each is some hundred bytes.
pub const MAX_RULES: usize = 10_000;

use self::document::{Item, Value};
use crate::error::Error;

/// A named set of rules, ready to be compiled with others into an [`Acl`](super::acl::Acl).
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    name: PolicyName,
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy's text: JSON if it begins with `{`, else HCL1.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `failed to parse policy: ..`, naming the place or the path and key. The name `root` is
    /// refused, because no text can say what it means.
    pub fn parse(name: PolicyName, text: &str) -> Result<Self, Error> {
        if name.is_root() {
            return Err(Error::bad_request("cannot update \"root\" policy"));
        }
        read(text)
            .map(|rules| Self { name, rules })
            .map_err(|message| Error::bad_request(format!("failed to parse policy: {message}")))
    }

    /// The policy that allows everything.
    pub fn root() -> Self {
        Self {
            name: PolicyName::root(),
            rules: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    /// What it says, in the order of its text.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether it means something else for each caller, so that what it is compiled into must not be shared by them.
    pub fn is_templated(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule.path, RulePath::Template(_)))
    }
}

/// The text of a policy as it was sent to the API: plain, or base64 of it, as Vault accepts both.
///
/// # Errors
/// [`Error::Invalid`] when the base64 holds something that is not UTF-8.
pub fn submitted_text(sent: &str) -> Result<Cow<'_, str>, Error> {
    match STANDARD.decode(sent) {
        Ok(decoded) => String::from_utf8(decoded).map(Cow::Owned).map_err(|_| {
            Error::invalid(
                "policy",
                "failed to parse policy: the base64 holds no UTF-8 text",
            )
        }),
        Err(_) => Ok(Cow::Borrowed(sent)),
    }
}

fn read(text: &str) -> Result<Vec<Rule>, String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("the text is longer than {MAX_TEXT_BYTES} bytes"));
    }
    let items = if text.trim_start().starts_with('{') {
        json::parse(text)?
    } else {
        hcl1::parse(text).map_err(|error| error.to_string())?
    };
    let mut rules = Vec::new();
    for item in items {
        match item.key() {
            "path" => read_path(item, &mut rules)?,
            "name" if item.keys.len() == 1 && matches!(item.value, Value::Text(_)) => {}
            "name" => return Err(format!("name must be a string{}", item.on_line())),
            other => return Err(format!("invalid key {other:?}{}", item.on_line())),
        }
    }
    if rules.len() > MAX_RULES {
        return Err(format!("the policy holds more than {MAX_RULES} rules"));
    }
    Ok(rules)
}

/// `path "x" {..}` is one rule, `path = {"x" = {..}, ..}` and a list of such objects are many.
fn read_path(item: Item, rules: &mut Vec<Rule>) -> Result<(), String> {
    let on_line = item.on_line();
    match item.keys.as_slice() {
        [_, path] => read_rules(path, item.value, rules),
        [_] => {
            let objects = objects(item.value)
                .ok_or_else(|| format!("path must hold objects, one for each path{on_line}"))?;
            for member in objects.into_iter().flatten() {
                match member.keys.as_slice() {
                    [path] => read_rules(path, member.value, rules)?,
                    _ => return Err(format!("path takes one label{}", member.on_line())),
                }
            }
            Ok(())
        }
        _ => Err(format!("path takes one label{on_line}")),
    }
}

fn read_rules(path: &str, value: Value, rules: &mut Vec<Rule>) -> Result<(), String> {
    let objects = objects(value).ok_or_else(|| format!("path {path:?}: must be an object"))?;
    for items in objects {
        rules.push(Rule::read(path, items)?);
    }
    Ok(())
}

/// The members of an object, or of each object in a list.
fn objects(value: Value) -> Option<Vec<Vec<Item>>> {
    match value {
        Value::Object(items) => Some(vec![items]),
        Value::List(values) => values
            .into_iter()
            .map(|value| match value {
                Value::Object(items) => Some(items),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
