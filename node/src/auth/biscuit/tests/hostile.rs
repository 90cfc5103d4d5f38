//! Tokens from people who wish the node ill, or from nobody at all.

use biscuit_auth::builder::{Term, fact};
use proptest::prelude::*;

use super::*;

fn refused(world: &World, token: &str) -> bool {
    matches!(world.node.parse(token), Err(Error::Denied(Denial::NoToken)))
}

fn outside_dialect(world: &World, source: &str) -> String {
    let token = world.with_block(&world.token(Role::User), source);
    match world.node.parse(&token) {
        Err(Error::Invalid {
            field: Some("token"),
            message,
        }) => message,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn garbage_is_no_token() {
    let world = World::new();
    let service_token = BASE64.encode([7; 32]);
    for text in [
        "",
        "hunter2",
        "E",
        "====",
        &service_token,
        &"E".repeat(500),
        "é".repeat(200).as_str(),
    ] {
        assert!(refused(&world, text), "{text}");
    }
    assert!(refused(&world, &BASE64.encode([0xff; 600])));
}

#[test]
fn every_truncation_is_no_token() {
    let world = World::new();
    let token = narrowed(&world.token(Role::Root), &["a"], &[], None);
    for end in 0..token.len() {
        assert!(refused(&world, &token[..end]), "{end} of {}", token.len());
    }
}

#[test]
fn another_keys_signature_is_no_token() {
    let (world, other) = (World::new(), World::new());
    assert!(refused(&world, &other.token(Role::Root)));
    assert!(refused(
        &world,
        &narrowed(&other.token(Role::Root), &["a"], &[], None)
    ));
}

#[test]
fn blocks_of_two_tokens_cannot_be_joined() {
    let world = World::new();
    let mut narrow = schema_of(&narrowed(&world.token(Role::Root), &["a"], &[], None));
    let wide = schema_of(&narrowed(&world.token(Role::Root), &["*"], &[], None));
    narrow.blocks = wide.blocks;
    narrow.proof = wide.proof;
    assert!(refused(&world, &text_of_schema(&narrow)));
}

#[test]
fn a_block_cannot_be_taken_off() {
    let world = World::new();
    let mut token = schema_of(&narrowed(&world.token(Role::Root), &["a"], &[], None));
    token.blocks.clear();
    assert!(refused(&world, &text_of_schema(&token)));
}

#[test]
fn other_root_keys_are_not_known_here() {
    let world = World::new();
    let builder = Biscuit::builder()
        .root_key_id(1)
        .fact("operator(true)")
        .unwrap();
    assert!(refused(&world, &world.signed(builder)));
}

#[test]
fn keys_that_are_not_ed25519_are_refused() {
    let world = World::new();
    let other_curve = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    let biscuit = Biscuit::from(
        decode_text(&world.token(Role::Root)).unwrap().as_slice(),
        world.key.public().key(),
    )
    .unwrap();
    let appended = biscuit
        .append_with_keypair(&other_curve, BlockBuilder::new())
        .unwrap();
    assert!(refused(&world, &text_of(&appended)));
    let root = Biscuit::builder()
        .fact("operator(true)")
        .unwrap()
        .build(&other_curve)
        .unwrap();
    assert!(refused(&world, &text_of(&root)));
}

#[test]
fn third_party_blocks_are_refused() {
    let world = World::new();
    let biscuit = Biscuit::from(
        decode_text(&world.token(Role::Root)).unwrap().as_slice(),
        world.key.public().key(),
    )
    .unwrap();
    let third_party = KeyPair::new();
    let block = BlockBuilder::new().code("group(\"admin\")").unwrap();
    let signed = biscuit
        .third_party_request()
        .unwrap()
        .create_block(&third_party.private(), block)
        .unwrap();
    let token = text_of(
        &biscuit
            .append_third_party(third_party.public(), signed)
            .unwrap(),
    );
    assert!(
        Biscuit::from(
            decode_text(&token).unwrap().as_slice(),
            world.key.public().key()
        )
        .is_ok()
    );
    assert!(refused(&world, &token));
    assert!(inspect(&token, None).is_err());
}

#[test]
fn sixteen_blocks_are_accepted_and_seventeen_are_not() {
    let world = World::new();
    let mut token = world.token(Role::Root);
    for _ in 1..MAX_BLOCKS {
        token = narrowed(&token, &["a"], &[], None);
    }
    assert_eq!(world.node.parse(&token).unwrap().revocation_ids().len(), 16);
    assert!(refused(
        &world,
        &world.with_block(&token, "check if path(\"a\")")
    ));
    let more = Attenuation {
        paths: vec!["a".into()],
        ..Attenuation::default()
    };
    assert!(attenuate(&OsRandom, &token, &more, NOON).is_err());
}

#[test]
fn a_text_longer_than_8_kib_is_not_looked_at() {
    let world = World::new();
    let with_context = |bytes: usize| {
        let biscuit = Biscuit::from(
            decode_text(&world.token(Role::Root)).unwrap().as_slice(),
            world.key.public().key(),
        );
        let block = BlockBuilder::new().context("x".repeat(bytes));
        text_of(&biscuit.unwrap().append(block).unwrap())
    };
    let (short, long) = (with_context(5500), with_context(6200));
    assert!(short.len() < MAX_TEXT_BYTES && long.len() > MAX_TEXT_BYTES);
    assert!(world.node.parse(&short).is_ok());
    assert!(refused(&world, &long));
}

#[test]
fn a_later_block_cannot_say_who_the_bearer_is() {
    let world = World::new();
    let user = world.token(Role::User);
    let other = TenantId::generate(&OsRandom);
    let claim = format!("role(\"root\"); tenant(\"{other}\"); token_epoch(99); operator(true)");
    let token = world.with_block(&user, &claim);
    assert_eq!(
        world.node.parse(&token).unwrap().identity(),
        world.identity(Role::User)
    );
}

#[test]
fn a_later_block_cannot_answer_an_earlier_check() {
    let world = World::new();
    let token = narrowed(&world.token(Role::Root), &["secret/app/*"], &["read"], None);
    let token = world.with_block(
        &token,
        "path(\"secret/app/x\"); operation(\"read\"); time(2000-01-01T00:00:00Z)",
    );
    assert!(world.allows(&token, "read", "secret/app/y"));
    assert!(!world.allows(&token, "read", "secret/other"));
    assert!(!world.allows(&token, "delete", "secret/app/y"));
}

#[test]
fn an_authority_block_says_exactly_one_thing() {
    let world = World::new();
    let tenant = format!("tenant(\"{}\")", world.tenant);
    let good = [tenant.as_str(), "role(\"user\")", "token_epoch(7)"];
    let build = |facts: &[&str]| {
        let builder = facts
            .iter()
            .try_fold(Biscuit::builder(), |builder, fact| builder.fact(*fact));
        world.signed(builder.unwrap())
    };
    assert!(world.node.parse(&build(&good)).is_ok());
    let with = |extra: &'static str| [good[0], good[1], good[2], extra];
    let bad: [&[&str]; 9] = [
        &[],
        &good[..2],
        &good[1..],
        &with("role(\"root\")"),
        &with("operator(true)"),
        &[good[0], good[1], "token_epoch(-1)"],
        &[good[0], "role(\"admin\")", good[2]],
        &["tenant(\"addon_x\")", good[1], good[2]],
        &["operator(true)"],
    ];
    for facts in bad {
        assert!(refused(&world, &build(facts)), "{facts:?}");
    }
}

#[test]
fn datalog_that_could_keep_a_node_busy_is_refused_before_it_runs() {
    let world = World::new();
    let facts: String = (0..40).map(|number| format!("f({number});")).collect();
    let join = format!("{facts} check if f($a), f($b), f($c), f($d), f($e), f($g), $a > 100");
    assert!(outside_dialect(&world, &join).contains("too long"));
    let variables = |letter: &str| {
        let names: Vec<String> = (0..60).map(|number| format!("${letter}{number}")).collect();
        names.join(", ")
    };
    let wide: String = (0..10)
        .map(|number| format!("w({number}{});", ", 0".repeat(59)))
        .collect();
    let (one, two) = (variables("a"), variables("b"));
    let wide = format!("{wide} check if w({one}), w({two}), $a0 > 100");
    assert!(outside_dialect(&world, &wide).contains("too long"));
    let rule = format!("{facts} g($a, $b, $c) <- f($a), f($b), f($c); check if true");
    assert!(outside_dialect(&world, &rule).contains("rules"));
    let nested = "check if {1,2,3}.any($a -> {1,2,3}.any($b -> $a + $b == 9))";
    assert!(outside_dialect(&world, nested).contains("operation"));
    let regex = "check if path($p), $p.matches(\"^([a-z]{100}){100}$\")";
    assert!(outside_dialect(&world, regex).contains("operation"));
    let concatenation = "check if path($p), $p + $p == \"aa\"";
    assert!(outside_dialect(&world, concatenation).contains("operation"));
    let foreign = "check if path($p), $p.extern::f()";
    assert!(outside_dialect(&world, foreign).contains("operation"));
    let scope = "check if path($p) trusting previous";
    assert!(outside_dialect(&world, scope).contains("scope"));
    let long = format!("check if {}", vec!["1 < 2"; 30].join(" && "));
    assert!(outside_dialect(&world, &long).contains("128"));
    let names: String = (0..300).map(|number| format!("n{number}(1);")).collect();
    assert!(outside_dialect(&world, &names).contains("256"));
}

#[test]
fn ordinary_checks_are_evaluated() {
    let world = World::new();
    let token = world.with_block(
        &world.token(Role::User),
        "mine(\"secret/a/\"); mine(\"secret/b/\");
         check if path($p), mine($m), $p.starts_with($m) && $p.length() < 20;
         reject if operation($o), [\"delete\", \"patch\"].contains($o);
         check all path($p), $p.extern::path_in({\"secret/+/x\"}) || $p.ends_with(\"/y\")",
    );
    assert!(world.allows(&token, "read", "secret/a/x"));
    assert!(world.allows(&token, "read", "secret/b/y"));
    assert!(!world.allows(&token, "read", "secret/c/x"));
    assert!(!world.allows(&token, "delete", "secret/a/x"));
    assert!(!world.allows(&token, "read", "secret/a/z"));
    assert!(!world.allows(&token, "read", "secret/a/0123456789/y"));
}

#[test]
fn a_check_that_makes_no_sense_denies() {
    let world = World::new();
    for check in [
        "check if 1 < \"a\"",
        "check if nothing($x)",
        "check if path($p), $p < 3",
    ] {
        let token = world.with_block(&world.token(Role::User), check);
        assert!(!world.allows(&token, "read", "secret/a"), "{check}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A changed token may still be read (the proof's wrapping is not signed in every bit), but never as somebody
    /// else's and never with fewer checks.
    #[test]
    fn a_changed_byte_gains_nothing(position in 0_usize..600, change in 1_u8..) {
        let world = World::new();
        let token = narrowed(&world.token(Role::User), &["a"], &[], None);
        let mut bytes = decode_text(&token).unwrap().to_vec();
        let position = position % bytes.len();
        bytes[position] ^= change;
        let changed = encode_text(&bytes).expose().clone();
        if let Ok(verified) = world.node.parse(&changed) {
            prop_assert_eq!(verified.identity(), world.identity(Role::User));
            prop_assert!(!world.allows(&changed, "read", "b"));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let world = World::new();
        prop_assert!(refused(&world, encode_text(&bytes).expose()));
        let _ = inspect(encode_text(&bytes).expose(), None);
    }

    /// Whatever facts a holder adds, the dialect's bound is not exceeded by looking at them.
    #[test]
    fn facts_alone_are_harmless(count in 0_usize..200) {
        let world = World::new();
        let biscuit = Biscuit::from(
            decode_text(&world.token(Role::User)).unwrap().as_slice(),
            world.key.public().key(),
        ).unwrap();
        let block = (0..count).try_fold(BlockBuilder::new(), |block, number| {
            block.fact(fact("read", &[Term::Integer(number as i64)]))
        });
        let token = text_of(&biscuit.append(block.unwrap()).unwrap());
        prop_assert!(world.allows(&token, "read", "a"));
    }
}

fn schema_of(token: &str) -> biscuit_auth::format::schema::Biscuit {
    prost::Message::decode(decode_text(token).unwrap().as_slice()).unwrap()
}

fn text_of_schema(token: &biscuit_auth::format::schema::Biscuit) -> String {
    encode_text(&prost::Message::encode_to_vec(token))
        .expose()
        .clone()
}
