//! [`Restrictions`]: what a rule demands of a request beyond the capability: parameters, response wrapping, page size.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expected::Expected;
use crate::fields::Fields;

/// Names of parameters, in lower case, each with the values that it is about; an empty list stands for any value.
pub type ParameterRules = BTreeMap<String, Vec<Expected>>;

/// All demands of one rule. The default demands nothing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Restrictions {
    /// When not empty, only these parameters may be sent; `*` stands for all others.
    pub allowed_parameters: ParameterRules,
    /// These must not be sent; `*` stands for all.
    pub denied_parameters: ParameterRules,
    /// These must be sent. In lower case.
    pub required_parameters: Vec<String>,
    /// The reply must be wrapped, for at least this long.
    pub min_wrapping_ttl: Option<Duration>,
    /// The reply must be wrapped, for at most this long.
    pub max_wrapping_ttl: Option<Duration>,
    /// How many names a list may give at once.
    pub pagination_limit: Option<u32>,
}

impl Restrictions {
    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another policy demands for the same path.
    pub fn merge(&mut self, other: &Self) {
        merge_rules(&mut self.allowed_parameters, &other.allowed_parameters);
        merge_rules(&mut self.denied_parameters, &other.denied_parameters);
        for name in &other.required_parameters {
            if !self.required_parameters.contains(name) {
                self.required_parameters.push(name.clone());
            }
        }
        self.min_wrapping_ttl = smaller(self.min_wrapping_ttl, other.min_wrapping_ttl);
        self.max_wrapping_ttl = smaller(self.max_wrapping_ttl, other.max_wrapping_ttl);
        self.pagination_limit = smaller(self.pagination_limit, other.pagination_limit);
    }

    /// Whether a reply wrapped for this long (or not at all) is what is demanded.
    pub fn allow_wrapping(&self, wrap_ttl: Option<Duration>) -> bool {
        let (minimum, maximum) = (self.min_wrapping_ttl, self.max_wrapping_ttl);
        if minimum.is_none() && maximum.is_none() {
            return true;
        }
        wrap_ttl.is_some_and(|ttl| {
            minimum.is_none_or(|minimum| ttl >= minimum)
                && maximum.is_none_or(|maximum| ttl <= maximum)
        })
    }

    /// Whether the parameters are what is demanded. Absent parameters are none.
    pub fn allow_parameters(&self, parameters: Option<&Fields>) -> bool {
        let has = |name: &String| parameters.is_some_and(|sent| sent.contains(name));
        if !self.required_parameters.iter().all(has) {
            return false;
        }
        let Some(sent) = parameters.filter(|sent| !sent.is_empty()) else {
            return true;
        };
        if self.denied_parameters.contains_key("*") {
            return false;
        }
        let allows_others =
            self.allowed_parameters.is_empty() || self.allowed_parameters.contains_key("*");
        sent.names().all(|name| {
            let key = name.to_lowercase();
            let denied = self.denied_parameters.get(&key).is_some_and(|values| {
                let value = sent.value(name);
                values.is_empty() || values.iter().any(|denied| denied.occurs_in(value.as_ref()))
            });
            let allowed = self
                .allowed_parameters
                .get(&key)
                .map_or(allows_others, |values| {
                    let value = sent.value(name);
                    values.is_empty() || values.iter().any(|allowed| allowed.is(value.as_ref()))
                });
            allowed && !denied
        })
    }

    /// How many names a list may give, where that is limited.
    ///
    /// # Errors
    /// `Err` when the request asks for more, or for something that is no number, or does not ask although it must.
    pub fn page_size(&self, parameters: Option<&Fields>) -> Result<Option<u32>, OverLimit> {
        let Some(limit) = self.pagination_limit else {
            return Ok(None);
        };
        let Some(sent) = parameters.filter(|sent| sent.contains("limit")) else {
            let must_ask = self.required_parameters.iter().any(|name| name == "limit");
            return if must_ask {
                Err(OverLimit)
            } else {
                Ok(Some(limit))
            };
        };
        if sent
            .string("limit")
            .is_ok_and(|text| text.as_deref() == Some("max"))
        {
            return Ok(Some(limit));
        }
        let asked = sent.integer("limit").map_err(|_| OverLimit)?.unwrap_or(0);
        match u32::try_from(asked) {
            Ok(0) => Ok(Some(limit)),
            Ok(asked) if asked <= limit => Ok(Some(asked)),
            _ => Err(OverLimit),
        }
    }
}

/// A list asks for more names at once than its rule allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverLimit;

fn merge_rules(into: &mut ParameterRules, from: &ParameterRules) {
    for (name, values) in from {
        match into.get_mut(name) {
            None => {
                into.insert(name.clone(), values.clone());
            }
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend_from_slice(values),
        }
    }
}

fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
