//! Tests of the configuration: defaults, overrides, and that each wrong line is refused by name.

use proptest::prelude::*;

use super::*;
use crate::store::foundationdb::FoundationDbTls;
use crate::store::postgres::ConnectionUrl;

const SMALLEST: &str = r#"
storage "embedded" {
  path = "./data"
}
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("node.hcl", text, [])
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_smallest_file_gets_the_documented_defaults() {
    let config = parse(SMALLEST).unwrap();
    assert_eq!(
        config,
        Config {
            storage: Storage::Embedded {
                path: "./data".into(),
                cache_bytes: 128 << 20
            },
            operator_key: Some("./data/operator.key".into()),
            state_dir: Some("./data".into()),
            ..Config::default()
        }
    );
    assert_eq!(config.api_addr, "http://127.0.0.1:8200");
    assert!(config.unauthenticated_seal_routes);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        api_addr = "https://kms.example.org:8200/"
        cluster_name = "paris"
        default_addon = "main"
        addon_domain = ".KMS.example.org"
        operator_key = "/keys/operator"
        operator_public_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        reported_version = "1.19.0+x"
        unauthenticated_seal_routes = "false"
        default_lease_ttl = 3600
        max_lease_ttl = "2h"
        log_level = "debug"
        log_format = "json"
        staleness_max = "250ms"
        attempt_ttl = "10m"
        outage_grace = "1m"
        seal_handoff = "none"
        state_dir = "state"
        storage "inmem" {}
        listener "tcp" { # two of them
          address = "0.0.0.0:8200"
          tls_cert_file = "node.pem"
          tls_key_file = "node.key"
          max_request_size = 2048
          max_request_duration = "30s"
        }
        listener "tcp" {
          address = "[::1]:8202"
          tls_disable = 1
        }
        "#,
    )
    .unwrap();
    let expected = Config {
        storage: Storage::InMemory,
        listeners: vec![
            Listener {
                address: "0.0.0.0:8200".parse().unwrap(),
                tls: Some(ListenerTls {
                    certificate_file: "node.pem".into(),
                    key_file: "node.key".into(),
                }),
                max_request_bytes: 2048,
                max_request_duration: Duration::from_secs(30),
            },
            Listener {
                address: "[::1]:8202".parse().unwrap(),
                ..Listener::default()
            },
        ],
        cluster: None,
        api_addr: "https://kms.example.org:8200".into(),
        cluster_name: "paris".into(),
        default_addon: "main".into(),
        addon_domain: Some("kms.example.org".into()),
        operator_key: Some("/keys/operator".into()),
        operator_public_key: Some(OperatorPublicKey::Inline(std::array::from_fn(|i| {
            u8::try_from(i).unwrap()
        }))),
        reported_version: Some("1.19.0+x".into()),
        unauthenticated_seal_routes: false,
        default_lease_ttl: Duration::from_secs(3600),
        max_lease_ttl: Duration::from_secs(7200),
        log_level: LogLevel::Debug,
        log_format: LogFormat::Json,
        staleness_max: Duration::from_millis(250),
        attempt_ttl: Duration::from_secs(600),
        audit: Vec::new(),
        telemetry: None,
        disable_mlock: false,
        outage_grace: Duration::from_secs(60),
        seal_handoff: false,
        state_dir: Some("state".into()),
    };
    assert_eq!(config, expected);
    assert_eq!(config.local_url(), "https://127.0.0.1:8200");
}

#[test]
fn a_shared_store_is_read_with_its_defaults_and_without_its_password_in_sight() {
    let url = "postgres://conclave:hunter2@db.example.org/conclave";
    let text = |rest: &str| {
        let listener = "listener \"tcp\" {\n  tls_disable = true\n}";
        format!("storage \"postgres\" {{\n  url = \"{url}\"\n  {rest}\n}}\n{listener}\n")
    };
    let with_key = |rest: &str| format!("operator_public_key = \"key\"\n{}", text(rest));
    let config = parse(&with_key("tls_ca_file = \"ca.pem\"")).unwrap();
    let expected = PostgresOptions {
        tls_ca_file: Some("ca.pem".into()),
        ..PostgresOptions::new(ConnectionUrl::new(url.into()))
    };
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.storage, Storage::Postgres(expected));
    let all = "password_file = \"secret\"\n  tls_disable = true\n  max_connections = \"40\"\n
        connect_timeout = \"1s\"\n  request_timeout = 3";
    let expected = PostgresOptions {
        password_file: Some("secret".into()),
        tls_disable: true,
        max_connections: 40,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(3),
        ..PostgresOptions::new(ConnectionUrl::new(url.into()))
    };
    assert_eq!(
        parse(&with_key(all)).unwrap().storage,
        Storage::Postgres(expected)
    );
    assert!(refusal(&text("")).contains("operator_public_key: is missing"));
    assert!(refusal(&with_key("max_connections = 1")).contains("max_connections: must be"));
    let nowhere = text("").replace("url", "place");
    assert!(refusal(&nowhere).contains("url: is missing"));
}

#[test]
fn the_store_in_foundationdb_is_read_with_its_defaults_and_refused_by_name() {
    let with = |line: &str| {
        let listener = "listener \"tcp\" {\n  tls_disable = true\n}";
        format!(
            "operator_public_key = \"key\"\nstorage \"foundationdb\" {{\n{line}\n}}\n{listener}\n"
        )
    };
    let expected = FoundationDbOptions {
        cluster_file: "/etc/foundationdb/fdb.cluster".into(),
        library_path: "libfdb_c.so".into(),
        tenant_prefix: "conclave".into(),
        tls: None,
        request_timeout: Duration::from_secs(5),
    };
    assert_eq!(
        parse(&with("")).unwrap().storage,
        Storage::FoundationDb(expected)
    );
    let all = "cluster_file = \"fdb.cluster\"\n library_path = \"lib/libfdb_c.so\"\n
        tenant_prefix = \"kms\"\n request_timeout = \"300ms\"\n tls_cert_file = \"node.pem\"\n
        tls_key_file = \"node.key\"\n tls_ca_file = \"ca.pem\"\n tls_verify_peers = \"Check.Valid=1\"";
    let expected = FoundationDbOptions {
        cluster_file: "fdb.cluster".into(),
        library_path: "lib/libfdb_c.so".into(),
        tenant_prefix: "kms".into(),
        tls: Some(FoundationDbTls {
            certificate_file: "node.pem".into(),
            key_file: "node.key".into(),
            ca_file: Some("ca.pem".into()),
            verify_peers: Some("Check.Valid=1".into()),
        }),
        request_timeout: Duration::from_millis(300),
    };
    assert_eq!(
        parse(&with(all)).unwrap().storage,
        Storage::FoundationDb(expected)
    );
    for (line, expected) in [
        (
            "cluster = \"x\"",
            "cluster: unknown key; the keys here are cluster_file,",
        ),
        (
            "cluster_file = \"\"",
            "cluster_file: must be a string that is not empty",
        ),
        ("library_path = 7", "library_path: must be a string"),
        (
            "tenant_prefix = \"\"",
            "tenant_prefix: must be text of 1 to 64 bytes",
        ),
        (
            &format!("tenant_prefix = \"{}\"", "x".repeat(65)),
            "tenant_prefix: must be text of 1 to 64 bytes",
        ),
        ("tls_cert_file = \"a\"", "tls_key_file: is missing"),
        ("tls_key_file = \"a\"", "tls_cert_file: is missing"),
        (
            "tls_ca_file = \"a\"",
            "tls_cert_file: is missing; FoundationDB wants",
        ),
        (
            "tls_verify_peers = \"Check.Valid=1\"",
            "tls_cert_file: is missing; FoundationDB wants",
        ),
        (
            "request_timeout = \"90ms\"",
            "request_timeout: must be a duration",
        ),
        (
            "request_timeout = \"2m\"",
            "request_timeout: must be a duration",
        ),
    ] {
        let refusal = refusal(&with(line));
        let expected = format!("node.hcl: storage \"foundationdb\": {expected}");
        assert!(refusal.starts_with(&expected), "{line}\n  {refusal}");
    }
    let keyless = with("").replace("operator_public_key = \"key\"", "");
    assert!(refusal(&keyless).contains("operator_public_key: is missing"));
}

#[test]
fn seal_routes_are_open_only_while_every_listener_is_on_loopback() {
    let public = SMALLEST.replace("127.0.0.1", "0.0.0.0");
    assert!(!parse(&public).unwrap().unauthenticated_seal_routes);
    let second = format!(
        "{SMALLEST}\nlistener \"tcp\" {{\n  address = \"192.0.2.1:8200\"\n  tls_disable = true\n}}"
    );
    assert!(!parse(&second).unwrap().unauthenticated_seal_routes);
    let asked = format!("unauthenticated_seal_routes = true\n{public}");
    assert!(parse(&asked).unwrap().unauthenticated_seal_routes);
}

#[test]
fn the_environment_overrides_the_file_and_is_named_when_wrong() {
    let text = format!("cluster_name = \"file\"\n{SMALLEST}");
    let config = Config::parse(
        "node.hcl",
        &text,
        [
            ("CONCLAVE_CLUSTER_NAME", "environment"),
            ("CONCLAVE_UNAUTHENTICATED_SEAL_ROUTES", "false"),
            ("CONCLAVE_MAX_LEASE_TTL", "1000h"),
            ("CONCLAVE_SERVICE_HOST", "not ours"),
            ("CLUSTER_NAME", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!(config.cluster_name, "environment");
    assert!(!config.unauthenticated_seal_routes);
    assert_eq!(config.max_lease_ttl, Duration::from_secs(3_600_000));

    let error = Config::parse("node.hcl", &text, [("CONCLAVE_LOG_LEVEL", "loud")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment: CONCLAVE_LOG_LEVEL: must be trace, debug, info, warn or error"
    );
}

#[test]
fn a_wrong_line_is_refused_with_its_place_and_key() {
    let top = |line: &str| format!("{line}\n{SMALLEST}");
    let listener = |line: &str| SMALLEST.replace("tls_disable = true", line);
    let storage = |text: &str| SMALLEST.replace("path = \"./data\"", text);
    for (text, expected) in [
        (
            top("colour = \"red\""),
            "node.hcl: colour: unknown key; the keys here are api_addr, cluster_name,",
        ),
        (
            listener("tls_disable = true\n adress = \"x\""),
            "node.hcl: listener \"tcp\": adress: unknown key; the keys here are address, tls_disable,",
        ),
        (
            listener("address = \"127.0.0.1:1\""),
            "node.hcl:7:3: not valid HCL: invalid attribute; expected unique attribute key",
        ),
        (
            listener(""),
            "node.hcl: listener \"tcp\": tls_cert_file: is missing; or set tls_disable = true",
        ),
        (
            listener("tls_cert_file = \"a\""),
            "node.hcl: listener \"tcp\": tls_key_file: is missing",
        ),
        (
            listener("tls_disable = true\n tls_key_file = \"a\""),
            "node.hcl: listener \"tcp\": tls_disable: contradicts",
        ),
        (
            listener("tls_disable = \"perhaps\""),
            "node.hcl: listener \"tcp\": tls_disable: must be true or false",
        ),
        (
            listener("tls_disable = true\n max_request_size = 5"),
            "node.hcl: listener \"tcp\": max_request_size: must be a number of bytes from 1024",
        ),
        (
            listener("tls_disable = true\n max_request_duration = \"1w\""),
            "node.hcl: listener \"tcp\": max_request_duration: must be a duration",
        ),
        (
            listener("tls_disable = true\n inner {}"),
            "node.hcl: listener \"tcp\": inner: unknown block",
        ),
        (
            storage(""),
            "node.hcl: storage \"embedded\": path: is missing",
        ),
        (
            storage("path = upper(\"x\")"),
            "node.hcl: storage \"embedded\": path: must be a string, a whole number",
        ),
        (
            storage("path = \"\""),
            "node.hcl: storage \"embedded\": path: must be a string that is not empty",
        ),
        (
            SMALLEST.replace("embedded", "raft"),
            "node.hcl: storage \"raft\": unknown storage; there are embedded, foundationdb, postgres and inmem",
        ),
        (
            SMALLEST.replace("\"tcp\"", "\"unix\""),
            "node.hcl: listener \"unix\": unknown listener; there is tcp",
        ),
        (
            SMALLEST.replace("\"tcp\"", ""),
            "node.hcl: listener: must be followed by one name in quotes",
        ),
        (
            SMALLEST.replace("127.0.0.1:8200", "localhost"),
            "node.hcl: listener \"tcp\": address: must be an IP address and a port",
        ),
        (
            top("seal \"transit\" {}"),
            "node.hcl: seal \"transit\": unknown block",
        ),
        (
            top("storage \"inmem\" {}"),
            "node.hcl: storage \"embedded\": there can be only one storage",
        ),
        (
            top("reported_version = \"1.2\""),
            "node.hcl: reported_version: must be a semantic",
        ),
        (
            top("addon_domain = \"kms_example\""),
            "node.hcl: addon_domain: must be a domain",
        ),
        (
            top("api_addr = \"kms\""),
            "node.hcl: api_addr: must be a URL",
        ),
        (
            top("default_lease_ttl = \"769h\""),
            "node.hcl: default_lease_ttl: is longer than max_lease_ttl",
        ),
        (
            "storage \"inmem\" {}".into(),
            "node.hcl: no listener; write",
        ),
        (String::new(), "node.hcl: no storage; write"),
        (
            "storage \"inmem\" {\n  path = ".into(),
            "node.hcl:2:3: not valid HCL:",
        ),
    ] {
        let refusal = refusal(&text);
        assert!(refusal.starts_with(expected), "{text}\n  {refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("no/such.hcl"), []).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such.hcl: cannot be read:"),
        "{error}"
    );
}

#[test]
fn dev_mode_listens_on_loopback_only() {
    assert!(Config::dev("127.0.0.1:0".parse().unwrap()).is_ok());
    assert!(Config::dev("[::1]:8200".parse().unwrap()).is_ok());
    let refused = Config::dev("0.0.0.0:8200".parse().unwrap()).unwrap_err();
    assert!(
        refused.to_string().contains("not a loopback address"),
        "{refused}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_makes_the_parser_panic(
        key in "[a-z_]{1,20}",
        value in "(\"[^\"\\\\$%\n]{0,20}\"|[0-9.e+-]{1,24}|true|null|\\[[0-9, ]{0,9}\\])",
        place in 0usize..3,
    ) {
        let line = format!("{key} = {value}");
        let text = match place {
            0 => format!("{line}\n{SMALLEST}"),
            1 => SMALLEST.replace("tls_disable = true", &line),
            _ => SMALLEST.replace("path = \"./data\"", &line),
        };
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
