//! From text to [`Config`]: which blocks and keys exist, their defaults, and how they must fit together.

use std::net::SocketAddr;
use std::time::Duration;

use hcl::{Block, Body};

use super::operations::Operations;
use super::section::Section;
use super::storage;
use super::{
    Config, ConfigError, Listener, ListenerTls, LogFormat, LogLevel, OperatorPublicKey, Storage,
};

/// The file in the data folder that holds the operator key when the configuration names none.
const OPERATOR_KEY_FILE: &str = "operator.key";
/// The smallest body limit that lets a share or a token through.
const MIN_REQUEST_BYTES: u64 = 1024;
/// A body is held in memory while it is worked on, so the limit is itself limited.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024 * 1024;
/// The most listeners of one node; each is a set of sockets and a certificate.
const MAX_LISTENERS: usize = 16;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Ten years: beyond any lease, within every representation of time.
const TEN_YEARS: Duration = Duration::from_secs(87_600 * 3600);

pub(super) fn config<'a>(
    name: &str,
    text: &str,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Config, ConfigError> {
    let body = parse(name, text)?;
    let mut storage = None;
    let mut listeners = Vec::new();
    let (mut cluster, mut wireguard) = (None, None);
    let mut operations = Operations::default();
    for block in body.blocks() {
        let place = format!("{name}: {}", heading(block));
        match block.identifier() {
            "storage" if storage.is_some() => {
                return Err(ConfigError::new(place, "there can be only one storage"));
            }
            "storage" => storage = Some(storage::storage(place, block)?),
            "listener" if listeners.len() == MAX_LISTENERS => {
                return Err(ConfigError::new(
                    place,
                    format!("more than {MAX_LISTENERS} listeners"),
                ));
            }
            "listener" => listeners.push(listener(place, block)?),
            "cluster" if cluster.is_some() => {
                return Err(ConfigError::new(place, "there can be only one cluster"));
            }
            "cluster" => cluster = Some(super::cluster::cluster(place, block)?),
            "wireguard" if wireguard.is_some() => {
                return Err(ConfigError::new(place, "there can be only one wireguard"));
            }
            "wireguard" => wireguard = Some(super::cluster::wireguard(place, block)?),
            "audit" | "telemetry" => operations.read(place, block)?,
            _ => {
                return Err(ConfigError::new(
                    place,
                    "unknown block; there are storage, listener, cluster, wireguard, audit and telemetry",
                ));
            }
        }
    }
    let storage = storage.ok_or_else(|| {
        ConfigError::new(
            name,
            "no storage; write storage \"embedded\" { path = \"./data\" }",
        )
    })?;
    if listeners.is_empty() {
        return Err(ConfigError::new(
            name,
            "no listener; write listener \"tcp\" { address = \"127.0.0.1:8200\" ... }",
        ));
    }
    let mut config = top_level(name, &body, environment, storage, listeners)?;
    config.cluster = super::cluster::join(name, cluster, wireguard)?;
    shared_store(name, &config)?;
    operations.put_into(&mut config);
    Ok(config)
}

fn parse(name: &str, text: &str) -> Result<hcl::Body, ConfigError> {
    hcl::parse(text).map_err(|error| match &error {
        hcl::Error::Parse(error) => ConfigError::new(
            format!(
                "{name}:{}:{}",
                error.location().line(),
                error.location().column()
            ),
            format!("not valid HCL: {}", error.message()),
        ),
        error => ConfigError::new(name, format!("not valid HCL: {error}")),
    })
}

/// Several nodes on stores of their own would be several servers that contradict each other.
fn shared_store(name: &str, config: &Config) -> Result<(), ConfigError> {
    let nodes = config
        .cluster
        .as_ref()
        .map_or(1, |cluster| cluster.roster.peers().len() + 1);
    match config.storage {
        Storage::Embedded { .. } | Storage::InMemory if nodes > 1 => Err(ConfigError::new(
            format!("{name}: storage"),
            format!(
                "belongs to one process; the cluster's {nodes} nodes need a store that they share, such as storage \"postgres\""
            ),
        )),
        _ => Ok(()),
    }
}

fn top_level<'a>(
    name: &str,
    body: &Body,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    storage: Storage,
    listeners: Vec<Listener>,
) -> Result<Config, ConfigError> {
    let mut top = Section::new(name.to_owned(), body)?;
    top.override_with(environment);
    let mut config = Config {
        storage,
        listeners,
        ..Config::default()
    };
    config.api_addr = top
        .word(
            "api_addr",
            "must be a URL such as https://kms.example.org:8200",
            url,
        )?
        .unwrap_or_else(|| config.local_url());
    set(&mut config.cluster_name, top.text("cluster_name")?);
    set(&mut config.default_addon, top.text("default_addon")?);
    config.addon_domain = top.word(
        "addon_domain",
        "must be a domain such as kms.example.org",
        domain,
    )?;
    config.operator_key = top.path("operator_key")?.or(match &config.storage {
        Storage::Embedded { path, .. } => Some(path.join(OPERATOR_KEY_FILE)),
        Storage::FoundationDb(_) | Storage::Postgres(_) | Storage::InMemory => None,
    });
    config.operator_public_key = top.text("operator_public_key")?.map(public_key);
    if matches!(
        config.storage,
        Storage::FoundationDb(_) | Storage::Postgres(_)
    ) && config.operator_key.is_none()
        && config.operator_public_key.is_none()
    {
        let message = "is missing; nodes that share a store share the operator's key";
        return Err(top.wrong("operator_public_key", message));
    }
    config.reported_version = top.word(
        "reported_version",
        "must be a semantic version such as 1.19.0",
        semantic_version,
    )?;
    config.unauthenticated_seal_routes = top
        .flag("unauthenticated_seal_routes")?
        .unwrap_or_else(|| config.is_loopback_only());
    set(&mut config.disable_mlock, top.flag("disable_mlock")?);
    set(
        &mut config.seal_handoff,
        top.word("seal_handoff", "must be peers or none", seal_handoff)?,
    );
    config.state_dir = top.path("state_dir")?.or(match &config.storage {
        Storage::Embedded { path, .. } => Some(path.clone()),
        _ => None,
    });
    lengths_of_time(&mut top, &mut config)?;
    logging(&mut top, &mut config)?;
    top.finish()?;
    Ok(config)
}

fn lengths_of_time(top: &mut Section, config: &mut Config) -> Result<(), ConfigError> {
    for (key, setting, least, most) in [
        (
            "default_lease_ttl",
            &mut config.default_lease_ttl,
            SECOND,
            TEN_YEARS,
        ),
        (
            "max_lease_ttl",
            &mut config.max_lease_ttl,
            SECOND,
            TEN_YEARS,
        ),
        (
            "staleness_max",
            &mut config.staleness_max,
            SECOND / 100,
            SECOND * 10,
        ),
        ("outage_grace", &mut config.outage_grace, SECOND, HOUR * 24),
        (
            "attempt_ttl",
            &mut config.attempt_ttl,
            SECOND * 10,
            HOUR * 24,
        ),
    ] {
        set(setting, top.duration(key, least, most)?);
    }
    if config.default_lease_ttl > config.max_lease_ttl {
        return Err(top.wrong("default_lease_ttl", "is longer than max_lease_ttl"));
    }
    Ok(())
}

fn seal_handoff(text: &str) -> Option<bool> {
    match text {
        "peers" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

fn logging(top: &mut Section, config: &mut Config) -> Result<(), ConfigError> {
    let levels = "must be trace, debug, info, warn or error";
    set(
        &mut config.log_level,
        top.word("log_level", levels, log_level)?,
    );
    let formats = "must be text or json";
    set(
        &mut config.log_format,
        top.word("log_format", formats, log_format)?,
    );
    Ok(())
}

fn listener(place: String, block: &Block) -> Result<Listener, ConfigError> {
    let kind = label(&place, block)?;
    let mut section = leaf(place, block)?;
    if kind != "tcp" {
        return Err(section.refuse("unknown listener; there is tcp"));
    }
    let mut listener = Listener::default();
    let address_rule = "must be an IP address and a port, such as 127.0.0.1:8200 or [::1]:8200";
    set(
        &mut listener.address,
        section.word("address", address_rule, |text| {
            text.parse::<SocketAddr>().ok()
        })?,
    );
    listener.tls = tls(&mut section, false)?;
    set(
        &mut listener.max_request_bytes,
        section.bytes("max_request_size", MIN_REQUEST_BYTES, MAX_REQUEST_BYTES)?,
    );
    set(
        &mut listener.max_request_duration,
        section.duration("max_request_duration", SECOND, HOUR)?,
    );
    section.finish()?;
    Ok(listener)
}

/// The certificate, or none where that is said, or where nothing is said and `may_be_plain`.
pub(super) fn tls(
    section: &mut Section,
    may_be_plain: bool,
) -> Result<Option<ListenerTls>, ConfigError> {
    let plain = section.flag("tls_disable")?.unwrap_or(false);
    let certificate_file = section.path("tls_cert_file")?;
    let key_file = section.path("tls_key_file")?;
    match (plain, certificate_file, key_file) {
        (true, None, None) => Ok(None),
        (true, _, _) => {
            Err(section.wrong("tls_disable", "contradicts tls_cert_file and tls_key_file"))
        }
        (false, Some(certificate_file), Some(key_file)) => Ok(Some(ListenerTls {
            certificate_file,
            key_file,
        })),
        (false, None, None) if may_be_plain => Ok(None),
        (false, None, _) => {
            Err(section.wrong("tls_cert_file", "is missing; or set tls_disable = true"))
        }
        (false, Some(_), None) => Err(section.wrong("tls_key_file", "is missing")),
    }
}

/// Replaces a default by what was given, if anything was.
pub(super) fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// A block as it stands in the file: `listener "tcp"`.
pub(super) fn heading(block: &Block) -> String {
    let labels = block.labels().iter();
    labels.fold(block.identifier().to_owned(), |heading, label| {
        format!("{heading} {:?}", label.as_str())
    })
}

pub(super) fn label<'a>(place: &str, block: &'a Block) -> Result<&'a str, ConfigError> {
    match block.labels() {
        [label] => Ok(label.as_str()),
        _ => Err(ConfigError::new(
            place,
            "must be followed by one name in quotes, such as storage \"embedded\"",
        )),
    }
}

/// The section of a block that holds no blocks.
pub(super) fn leaf(place: String, block: &Block) -> Result<Section, ConfigError> {
    match block.body().blocks().next() {
        Some(inner) => Err(ConfigError::at(place, heading(inner), "unknown block")),
        None => Section::new(place, block.body()),
    }
}

fn url(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let host = rest.trim_end_matches('/');
    let clean = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    clean.then(|| text.trim_end_matches('/').to_owned())
}

/// In lower case, without the dots that may stand around it.
fn domain(text: &str) -> Option<String> {
    let text = text.trim_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(is_label).then_some(text)
}

/// 64 hex digits, optionally after `ed25519/`, are the key; anything else is the name of a file.
fn public_key(text: String) -> OperatorPublicKey {
    let digits = text.strip_prefix("ed25519/").unwrap_or(&text);
    let mut key = [0; 32];
    match hex::decode_to_slice(digits, &mut key) {
        Ok(()) => OperatorPublicKey::Inline(key),
        Err(_) => OperatorPublicKey::File(text.into()),
    }
}

/// `major.minor.patch`, then anything printable after `-` or `+`. Terraform's provider panics on less.
fn semantic_version(text: &str) -> Option<String> {
    let (numbers, rest) = text
        .find(['-', '+'])
        .map_or((text, ""), |place| text.split_at(place));
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number =
        |part: &&str| part.len() <= 9 && part.parse::<u32>().is_ok() && !part.starts_with('+');
    let is_version = parts.len() == 3 && parts.iter().all(is_number);
    let is_suffix = rest.len() != 1
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-+.".contains(c));
    (is_version && is_suffix).then(|| text.to_owned())
}

fn log_level(text: &str) -> Option<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Some(LogLevel::Trace),
        "debug" => Some(LogLevel::Debug),
        "info" => Some(LogLevel::Info),
        "warn" | "warning" => Some(LogLevel::Warn),
        "error" | "err" => Some(LogLevel::Error),
        _ => None,
    }
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" | "standard" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}
