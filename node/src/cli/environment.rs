//! The variables that the command line may look at, taken once by `main.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroize;

/// Variables of the process: `CONCLAVE_*`, `BAO_*`, `VAULT_*` and `HOME`. The rest is not kept.
#[derive(Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Keeps of `variables` what the command line may look at. What is not Unicode cannot be a setting.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let ours = |name: &str| {
            name == "HOME"
                || ["CONCLAVE_", "BAO_", "VAULT_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        };
        Self(
            variables
                .into_iter()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| ours(name))
                .collect(),
        )
    }

    /// All pairs, for the configuration's overrides.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `BAO_<name>`, else `VAULT_<name>`, as OpenBao's CLI looks them up; empty counts as not set.
    pub fn vault(&self, name: &str) -> Option<&str> {
        self.0
            .get(&format!("BAO_{name}"))
            .or_else(|| self.0.get(&format!("VAULT_{name}")))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether a variable of Vault's is set to something that means yes.
    pub fn vault_flag(&self, name: &str) -> bool {
        matches!(
            self.vault(name).map(str::to_ascii_lowercase).as_deref(),
            Some("1" | "t" | "true")
        )
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.0.get("HOME").map(PathBuf::from)
    }
}

/// Some of the values are tokens.
impl Drop for Environment {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn openbaos_names_win_over_vaults() {
        let environment = environment(&[
            ("VAULT_ADDR", "vault"),
            ("BAO_ADDR", "bao"),
            ("VAULT_TOKEN", "secret"),
            ("VAULT_SKIP_VERIFY", "True"),
            ("PATH", "not ours"),
        ]);
        assert_eq!(environment.vault("ADDR"), Some("bao"));
        assert_eq!(environment.vault("TOKEN"), Some("secret"));
        assert_eq!(environment.vault("CACERT"), None);
        assert!(environment.vault_flag("SKIP_VERIFY"));
        assert!(environment.pairs().all(|(name, _)| name != "PATH"));
    }

    #[test]
    fn debug_prints_names_only() {
        let text = format!("{:?}", environment(&[("VAULT_TOKEN", "hunter2")]));
        assert!(text.contains("VAULT_TOKEN") && !text.contains("hunter2"));
    }
}
