//! Files as `wg-quick` reads them, and mistakes, each with the line it names.

use std::net::IpAddr;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::key::{PresharedKey, PublicKey};
use crate::peer::{Endpoint, PeerName};

const EXAMPLE: &str = "\
# by hand
[interface]
privatekey=QH1ZLRB0ziLxFtuPQn4mb3MAGUrGkcwzCUGXFUnbrGM=
Address = 10.90.0.1/24, fd00::1/64   # both
ListenPort = 51820
MTU = 1380

[Peer]
# Name = node-2
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.91.0.0/16
AllowedIPs = 10.90.0.2/32
Endpoint = node-2.example:51820
PersistentKeepalive = 25

[Peer]
PublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
PresharedKey = FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=
AllowedIPs = fd00::3
PersistentKeepalive = off
";

#[test]
fn reads_what_wg_quick_reads() {
    let config = Config::parse(EXAMPLE).expect("a configuration");
    assert_eq!((config.listen_port, config.mtu), (Some(51820), Some(1380)));
    let addresses: Vec<_> = config.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.90.0.1/24", "fd00::1/64"]);
    let [second, third] = &config.peers[..] else {
        panic!("two peers")
    };
    assert_eq!(second.name.as_str(), "node-2");
    assert_eq!(second.address.to_string(), "10.90.0.2");
    assert_eq!(second.routes, ["10.91.0.0/16".parse().expect("a subnet")]);
    assert_eq!(second.keepalive_seconds, NonZeroU16::new(25));
    assert_eq!(third.name.as_str(), "fd00::3", "named by its address");
    assert!(third.preshared_key.is_some() && third.keepalive_seconds.is_none());
}

#[test]
fn errors_name_the_line_and_no_secret() {
    let key = "QH1ZLRB0ziLxFtuPQn4mb3MAGUrGkcwzCUGXFUnbrGM";
    let cases = [
        (
            format!("[Interface]\nPrivateKey = {key}"),
            2,
            "PrivateKey: a WireGuard key is 32 bytes",
        ),
        (
            format!("[Interface]\nPrivateKey = {key}=\nPrivateKey = {key}="),
            3,
            "`PrivateKey` stands here twice",
        ),
        (
            format!("PrivateKey = {key}="),
            1,
            "before the first section",
        ),
        (format!("[Interface]\n{key}"), 2, "neither"),
        (
            "[Interface]\nPostUp = rm -rf /".into(),
            2,
            "`PostUp` runs a command",
        ),
        (
            "[Interface]\nColour = blue".into(),
            2,
            "that key does not exist",
        ),
        ("[Interface]\n[Interface]".into(), 2, "a second [Interface]"),
        ("[Interface".into(), 1, "neither"),
        ("[Server]".into(), 1, "no section of that name"),
        (String::new(), 1, "there is no [Interface]"),
        (
            "\n[Interface]\nMTU = 1279".into(),
            3,
            "MTU must be a number from 1280",
        ),
        (
            "\n[Interface]\nListenPort = 65536".into(),
            3,
            "ListenPort must be a number",
        ),
        (
            "\n[Interface]\nAddress = 10.0.0.1/33".into(),
            3,
            "Address: `10.0.0.1/33` is no address",
        ),
        ("\n[Interface]\n".into(), 2, "`PrivateKey` is missing"),
        (
            format!("[Interface]\nPrivateKey = {key}=\n[Peer]\nAllowedIPs = 10.0.0.2/32"),
            3,
            "`PublicKey` is missing",
        ),
        (
            format!(
                "[Interface]\nPrivateKey = {key}=\n[Peer]\nPublicKey = {key}=\nAllowedIPs = 10.0.0.0/24"
            ),
            3,
            "AllowedIPs must hold",
        ),
        ("[Peer]\n# Name = a b".into(), 2, "Name: a peer's name has"),
        (
            "[Peer]\nEndpoint = nowhere".into(),
            2,
            "Endpoint: `nowhere` is no endpoint",
        ),
        (
            "[Peer]\nPersistentKeepalive = x".into(),
            2,
            "PersistentKeepalive must be a number",
        ),
        ("x".repeat(MAX_CONFIG_BYTES + 1), 1, "longer than 1 MiB"),
    ];
    for (text, line, expected) in cases {
        let error = Config::parse(&text).expect_err(expected);
        assert_eq!(error.line, line, "{error}");
        assert!(
            error.to_string().contains(expected),
            "`{error}` instead of `{expected}`"
        );
        assert!(!error.to_string().contains(&key[..10]), "{error}");
    }
}

fn peers() -> impl Strategy<Value = Peer> {
    let name = "[a-zA-Z0-9._:-]{1,63}";
    let endpoint = prop::option::of(prop_oneof![
        any::<std::net::SocketAddrV4>().prop_map(|address| Endpoint::Address(address.into())),
        ("[a-z][a-z0-9.-]{0,20}", any::<u16>())
            .prop_map(|(host, port)| Endpoint::Name { host, port }),
    ]);
    let routes = prop::collection::vec(
        (any::<IpAddr>(), 0u8..=32)
            .prop_filter_map("a subnet", |(address, prefix)| Subnet::new(address, prefix)),
        0..4,
    );
    (
        name,
        any::<[u8; 32]>(),
        any::<Option<[u8; 32]>>(),
        endpoint,
        any::<IpAddr>(),
        routes,
        any::<u16>(),
    )
        .prop_map(
            |(name, key, preshared, endpoint, address, routes, keepalive)| Peer {
                name: name.parse().expect("a name"),
                public_key: PublicKey::from_bytes(key),
                preshared_key: preshared.map(PresharedKey::from_random),
                endpoint,
                address,
                routes,
                keepalive_seconds: NonZeroU16::new(keepalive),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_printed_reads_back(
        key: [u8; 32],
        listen_port: Option<u16>,
        mtu in prop::option::of(1280u16..8000),
        addresses in prop::collection::vec(any::<IpAddr>().prop_map(Subnet::host), 0..3),
        peers in prop::collection::vec(peers(), 0..4),
    ) {
        let config = Config { private_key: PrivateKey::from_random(key), listen_port, addresses, mtu, peers };
        prop_assert_eq!(Config::parse(&config.to_text()), Ok(config));
    }

    #[test]
    fn noise_never_panics(lines in prop::collection::vec("(\\[|\\]|=|#|Peer|Interface|Name|AllowedIPs|/|,|[ -~])*", 0..20)) {
        let _ = Config::parse(&lines.join("\n"));
    }

    #[test]
    fn no_text_makes_a_parser_of_one_value_panic(text in "\\PC{0,80}|[0-9a-f:.\\[\\]/=+]{0,80}") {
        let _ = text.parse::<Subnet>();
        let _ = text.parse::<Endpoint>();
        let _ = text.parse::<PeerName>();
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<PrivateKey>();
        let _ = text.parse::<PresharedKey>();
    }
}
