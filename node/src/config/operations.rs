//! From text to what an operator sees of a node's work: `audit "file" {}` and `telemetry {}`.

use std::net::SocketAddr;

use hcl::Block;

use super::read::{leaf, set, tls};
use super::{Config, ConfigError, Telemetry};
use crate::audit::file::FileOptions;

/// The most audit devices of one node: each gets every line.
const MAX_DEVICES: usize = 8;

/// The longest prefix of audit lines, in bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// The blocks read so far.
#[derive(Default)]
pub(super) struct Operations {
    audit: Vec<FileOptions>,
    telemetry: Option<Telemetry>,
}

impl Operations {
    /// What they came to.
    pub(super) fn put_into(self, config: &mut Config) {
        config.audit = self.audit;
        config.telemetry = self.telemetry;
    }

    /// Reads one more block, which is called `audit` or `telemetry`.
    pub(super) fn read(&mut self, place: String, block: &Block) -> Result<(), ConfigError> {
        if block.identifier() == "telemetry" {
            if self.telemetry.is_some() {
                return Err(ConfigError::new(place, "there can be only one telemetry"));
            }
            self.telemetry = Some(telemetry(place, block)?);
            return Ok(());
        }
        if self.audit.len() == MAX_DEVICES {
            return Err(ConfigError::new(
                place,
                format!("more than {MAX_DEVICES} audit devices"),
            ));
        }
        let device = audit(place.clone(), block)?;
        let others = || self.audit.iter();
        if others().any(|other| other.name == device.name) {
            return Err(ConfigError::new(
                place,
                "two audit devices of one name; write audit \"file\" \"another\"",
            ));
        }
        if others().any(|other| other.path == device.path) {
            return Err(ConfigError::at(
                place,
                "path",
                "two audit devices of one file",
            ));
        }
        self.audit.push(device);
        Ok(())
    }
}

/// `audit "file" {}`, or `audit "file" "name" {}`.
fn audit(place: String, block: &Block) -> Result<FileOptions, ConfigError> {
    let labels: Vec<&str> = block.labels().iter().map(|label| label.as_str()).collect();
    let name = match labels.as_slice() {
        ["file"] => "file",
        ["file", name] if is_name(name) => name,
        ["file", _] => {
            return Err(ConfigError::new(
                place,
                "the name of an audit device has 1 to 64 letters, digits, - or _",
            ));
        }
        _ => {
            return Err(ConfigError::new(
                place,
                "unknown audit device; there is file",
            ));
        }
    };
    let name = name.to_owned();
    let mut section = leaf(place, block)?;
    let path = section
        .path("path")?
        .ok_or_else(|| section.wrong("path", "is missing; it names the log, or is stdout"))?;
    let mut device = FileOptions {
        name,
        path,
        sync: false,
        mode: None,
        prefix: String::new(),
    };
    set(&mut device.sync, section.flag("sync")?);
    device.mode = section.word("mode", "must be permissions such as \"0600\"", mode)?;
    let rule = "must be a short text without line breaks";
    set(
        &mut device.prefix,
        section.word("prefix", rule, |text| {
            let is_line = text.len() <= MAX_PREFIX_BYTES && !text.contains(char::is_control);
            is_line.then(|| text.to_owned())
        })?,
    );
    section.finish()?;
    Ok(device)
}

fn telemetry(place: String, block: &Block) -> Result<Telemetry, ConfigError> {
    if !block.labels().is_empty() {
        return Err(ConfigError::new(place, "telemetry has no name"));
    }
    let mut section = leaf(place, block)?;
    let rule = "must be an IP address and a port, such as 127.0.0.1:9102";
    let address = section
        .word("prometheus_address", rule, |text| {
            text.parse::<SocketAddr>().ok()
        })?
        .ok_or_else(|| section.wrong("prometheus_address", "is missing"))?;
    let tls = tls(&mut section, address.ip().is_loopback())?;
    section.finish()?;
    Ok(Telemetry { address, tls })
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Octal. A log that its own node cannot write is of no use, and nobody but the owner should change it.
fn mode(text: &str) -> Option<u32> {
    let mode = u32::from_str_radix(text, 8).ok()?;
    (mode <= 0o777 && mode & 0o600 == 0o600 && mode & 0o022 == 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn parse(blocks: &str) -> Result<Config, String> {
        let text = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n tls_disable = true\n}}\n{blocks}"
        );
        Config::parse("node.hcl", &text, []).map_err(|error| error.to_string())
    }

    #[test]
    fn devices_and_telemetry_are_read() {
        let config = parse(
            "audit \"file\" {\n path = \"/var/log/a\"\n}\n\
             audit \"file\" \"second\" {\n path = \"b\"\n sync = true\n mode = \"0640\"\n prefix = \"@cee:\"\n}\n\
             telemetry {\n prometheus_address = \"127.0.0.1:9102\"\n}",
        )
        .unwrap();
        let [first, second] = config.audit.as_slice() else {
            panic!("{:?}", config.audit);
        };
        assert_eq!(
            (first.name.as_str(), first.sync, first.mode),
            ("file", false, None)
        );
        assert_eq!(second.name, "second");
        assert_eq!((second.sync, second.mode), (true, Some(0o640)));
        assert_eq!(second.prefix, "@cee:");
        let telemetry = config.telemetry.unwrap();
        assert_eq!(telemetry.address.port(), 9102);
        assert_eq!(telemetry.tls, None);
    }

    #[test]
    fn mistakes_are_named() {
        for (blocks, complaint) in [
            ("audit \"syslog\" {}", "unknown audit device; there is file"),
            ("audit \"file\" {}", "path: is missing"),
            (
                "audit \"file\" {\n path = \"a\"\n mode = \"0666\"\n}",
                "mode: must be permissions",
            ),
            (
                "audit \"file\" {\n path = \"a\"\n log_raw = true\n}",
                "log_raw: unknown key",
            ),
            (
                "audit \"file\" \"a/b\" {\n path = \"a\"\n}",
                "the name of an audit device",
            ),
            (
                "audit \"file\" {\n path = \"a\"\n}\naudit \"file\" {\n path = \"b\"\n}",
                "two audit devices of one name",
            ),
            (
                "audit \"file\" {\n path = \"a\"\n}\naudit \"file\" \"b\" {\n path = \"a\"\n}",
                "two audit devices of one file",
            ),
            ("telemetry {}", "prometheus_address: is missing"),
            (
                "telemetry {\n prometheus_address = \"10.0.0.1:9102\"\n}",
                "tls_cert_file: is missing; or set tls_disable = true",
            ),
        ] {
            let error = parse(blocks).unwrap_err();
            assert!(error.contains(complaint), "{blocks}: {error}");
        }
    }
}
