//! What holders can do to their tokens, and how tokens are shown.

use proptest::prelude::*;

use super::*;

#[test]
fn a_narrowed_token_reads_its_paths_only() {
    let world = World::new();
    let hour = Duration::from_secs(3600);
    let token = narrowed(
        &world.token(Role::Root),
        &["secret/data/app/*"],
        &["read"],
        Some(hour),
    );
    assert!(world.allows(&token, "read", "secret/data/app/db"));
    assert!(world.allows(&token, "read", "secret/data/app/a/b"));
    assert!(!world.allows(&token, "read", "secret/data/app"));
    assert!(!world.allows(&token, "read", "secret/data/apple"));
    assert!(!world.allows(&token, "update", "secret/data/app/db"));
    let verified = world.node.parse(&token).unwrap();
    let late = RequestFacts {
        now: NOON.plus(hour),
        ..world.request("read", "secret/data/app/db")
    };
    assert!(verified.authorize(&late).is_err());
}

#[test]
fn what_the_cli_asks_beside_the_request_stays_open() {
    let world = World::new();
    for token in [
        narrowed(
            &world.token(Role::User),
            &["secret/data/app/*"],
            &["list"],
            None,
        ),
        narrowed(&world.token(Role::User), &[], &["list"], None),
    ] {
        assert!(world.allows(&token, "read", "auth/token/lookup-self"));
        assert!(world.allows(&token, "update", "auth/token/revoke-self"));
        assert!(world.allows(&token, "read", "sys/internal/ui/mounts/secret/data/app/x"));
        assert!(!world.allows(&token, "read", "sys/internal/ui/mounts"));
        assert!(!world.allows(&token, "update", "auth/token/create"));
        assert!(!world.allows(&token, "read", "auth/token/lookup-self/x"));
    }
}

#[test]
fn each_narrowing_has_its_own_revocation_id() {
    let world = World::new();
    let parent = world.token(Role::User);
    let children = [
        narrowed(&parent, &["a"], &[], None),
        narrowed(&parent, &["a"], &[], None),
    ];
    let parent = world.node.parse(&parent).unwrap();
    let children = children.map(|child| world.node.parse(&child).unwrap());
    for child in &children {
        assert_eq!(child.revocation_ids()[..1], *parent.revocation_ids());
        assert_ne!(child.own_revocation_id(), parent.own_revocation_id());
    }
    assert_ne!(
        children[0].own_revocation_id(),
        children[1].own_revocation_id()
    );
}

#[test]
fn a_narrowing_that_says_nothing_or_nonsense_is_refused() {
    let world = World::new();
    let token = world.token(Role::User);
    let field_of = |attenuation: &Attenuation| match attenuate(&OsRandom, &token, attenuation, NOON)
    {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let operations = |name: &str| Attenuation {
        operations: vec![name.into()],
        ..Attenuation::default()
    };
    assert_eq!(field_of(&Attenuation::default()), None);
    assert_eq!(field_of(&operations("write")), Some("operation"));
    assert_eq!(field_of(&operations("")), Some("operation"));
    let ttl = Attenuation {
        ttl: Some(Duration::from_millis(10)),
        ..Attenuation::default()
    };
    assert_eq!(field_of(&ttl), Some("ttl"));
    let path = |path: String| Attenuation {
        paths: vec![path],
        ..Attenuation::default()
    };
    assert_eq!(field_of(&path("secret/*/a".into())), Some("path"));
    assert_eq!(field_of(&path("x".repeat(8000))), Some("token"));
    let many = Attenuation {
        paths: (0..300).map(|n| format!("p{n}")).collect(),
        ..Attenuation::default()
    };
    assert_eq!(field_of(&many), Some("token"));
}

#[test]
fn only_biscuits_that_are_not_sealed_can_be_narrowed() {
    let world = World::new();
    let attenuation = Attenuation {
        paths: vec!["a".into()],
        ..Attenuation::default()
    };
    let service_token = BASE64.encode([7; 32]);
    assert!(attenuate(&OsRandom, &service_token, &attenuation, NOON).is_err());
    let bytes = decode_text(&world.token(Role::User)).unwrap();
    let sealed = Biscuit::from(bytes.as_slice(), world.key.public().key())
        .unwrap()
        .seal()
        .unwrap();
    let sealed = text_of(&sealed);
    assert!(world.node.parse(&sealed).is_ok());
    let error = attenuate(&OsRandom, &sealed, &attenuation, NOON)
        .unwrap_err()
        .to_string();
    assert!(error.contains("sealed"), "{error}");
}

#[test]
fn a_hundred_paths_are_still_evaluated() {
    let world = World::new();
    let paths: Vec<String> = (0..100)
        .map(|number| format!("secret/+/{number}/*"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let token = narrowed(&world.token(Role::User), &paths, &["read", "list"], None);
    assert!(world.allows(&token, "list", "secret/data/99/x"));
    assert!(!world.allows(&token, "list", "secret/data/100/x"));
}

#[test]
fn inspection_shows_what_is_inside_and_whether_it_was_verified() {
    let world = World::new();
    let ttl = Some(Duration::from_secs(60));
    let token = narrowed(&world.token(Role::Root), &["secret/*"], &["read"], ttl);
    let token = narrowed(&token, &[], &[], Some(Duration::from_secs(30)));
    let inspection = inspect(&token, Some(&world.key.public())).unwrap();
    assert!(inspection.verified);
    assert_eq!(inspection.tenant, Some(world.tenant));
    assert_eq!(
        (inspection.role, inspection.bearer),
        (Some(Role::Root), Some("root"))
    );
    assert_eq!(inspection.token_epoch, Some(7));
    assert_eq!(inspection.expires.as_deref(), Some("2023-11-14T22:13:50Z"));
    assert_eq!(inspection.refused, None);
    let verified = world.node.parse(&token).unwrap();
    let ids: Vec<String> = verified
        .revocation_ids()
        .iter()
        .map(ToString::to_string)
        .collect();
    let shown: Vec<&str> = inspection
        .blocks
        .iter()
        .map(|block| block.revocation_id.as_str())
        .collect();
    assert_eq!(ids, shown);
    assert_eq!(
        inspection.blocks[2].source,
        ["check if time($time), $time < 2023-11-14T22:13:50Z"]
    );
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["tenant"], world.tenant.to_string());
    assert_eq!(json["role"], "root");

    let unverified = inspect(&token, None).unwrap();
    assert!(!unverified.verified);
    assert_eq!(unverified.expires, inspection.expires);
    assert!(unverified.rows()[0].1.starts_with("NOT VERIFIED"));
    assert!(inspect(&token, Some(&World::new().key.public())).is_err());
}

#[test]
fn inspection_says_why_nodes_would_refuse() {
    let world = World::new();
    let token = world.with_block(&world.token(Role::User), "a(1) <- path($p); check if a(1)");
    let inspection = inspect(&token, None).unwrap();
    assert!(inspection.refused.unwrap().starts_with("rules"));
    assert_eq!(inspection.expires, None);
}

#[test]
fn inspection_cannot_be_made_to_lie() {
    let world = World::new();
    let forged = "x\"), $now < 2000-01-01T00:00:00Z;\n\u{1b}[2Jrole(\"root";
    let token = narrowed(&world.token(Role::User), &[forged], &[], None);
    let inspection = inspect(&token, None).unwrap();
    assert_eq!(inspection.expires, None);
    assert_eq!(inspection.blocks[1].source.len(), 1);
    let source = &inspection.blocks[1].source[0];
    assert!(source.contains("x\\\"), $now < 2000"), "{source}");
    assert!(!source.contains('\n') && !source.contains('\u{1b}'));
}

#[test]
fn an_operator_token_is_shown_as_one() {
    let world = World::new();
    let token = mint_operator_token(&world.key, &OsRandom, Duration::from_secs(5), NOON).unwrap();
    let inspection = inspect(token.expose(), None).unwrap();
    assert_eq!(
        (inspection.bearer, inspection.tenant),
        (Some("operator"), None)
    );
    assert_eq!(inspection.expires.as_deref(), Some("2023-11-14T22:13:25Z"));
}

fn attenuation() -> impl Strategy<Value = Attenuation> {
    let path = prop_oneof!["[a+]{1,2}(/[a+]{1,2}){0,2}[*]?", "a/\\PC{0,6}"];
    let paths = proptest::collection::vec(path, 0..3);
    let operations = proptest::sample::subsequence(vec!["read", "list", "update"], 0..3);
    let ttl = proptest::option::of(1_u64..4);
    (paths, operations, ttl).prop_filter_map("says nothing", |(paths, operations, ttl)| {
        let paths: Vec<String> = paths
            .into_iter()
            .filter(|path| !path.trim_end_matches('*').contains('*') && !path.ends_with("**"))
            .collect();
        (!paths.is_empty() || !operations.is_empty() || ttl.is_some()).then(|| Attenuation {
            paths,
            operations: operations.into_iter().map(str::to_string).collect(),
            ttl: ttl.map(Duration::from_secs),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Narrowing twice: each token allows only what the one before it allows.
    #[test]
    fn narrowing_only_shrinks(
        first in attenuation(),
        second in attenuation(),
        requests in proptest::collection::vec(("(read|list|update|delete)", "[a+]{1,2}(/[a+]{1,2}){0,2}", 0_u64..4), 1..8),
    ) {
        let world = World::new();
        let root = world.token(Role::Root);
        let child = attenuate(&OsRandom, &root, &first, NOON).unwrap().expose().clone();
        let grandchild = attenuate(&OsRandom, &child, &second, NOON).unwrap().expose().clone();
        let tokens = [root, child, grandchild].map(|token| world.node.parse(&token).unwrap());
        prop_assert!(tokens.iter().all(|token| token.identity() == world.identity(Role::Root)));
        for (operation, path, seconds) in &requests {
            let request = RequestFacts {
                now: NOON.plus(Duration::from_secs(*seconds)),
                ..world.request(operation, path)
            };
            let allowed: Vec<bool> = tokens.iter().map(|token| token.authorize(&request).is_ok()).collect();
            prop_assert!(allowed.windows(2).all(|pair| pair[0] >= pair[1]), "{allowed:?}");
        }
    }

    /// No character of a path is Datalog.
    #[test]
    fn paths_are_literal(
        name in "(\\PC|[\"\\\\\n\u{0}.?()|{}^$#&~-]){1,8}",
        other in "[a-z\"\\\\.]{1,8}",
    ) {
        prop_assume!(!name.contains(['*', '/']) && name != "+");
        let world = World::new();
        for pattern in [format!("secret/{name}"), format!("+/{name}")] {
            let token = narrowed(&world.token(Role::Root), &[&pattern], &[], None);
            let allows = |path: &str| world.allows(&token, "read", path);
            let (same, longer) = (format!("secret/{name}"), format!("secret/{name}x"));
            prop_assert!(allows(&same));
            prop_assert!(!allows(&longer));
            let different = format!("secret/{other}");
            prop_assert_eq!(allows(&different), same == different);
        }
    }
}
