//! Texts as HCL1 accepts them, and texts that it refuses, each with the place it names.

use proptest::prelude::*;

use super::parse;
use crate::auth::policy::document::{Item, Value};

fn only(text: &str) -> Value {
    let mut items = parse(text).unwrap();
    assert_eq!(items.len(), 1, "{text}");
    items.remove(0).value
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn blocks_assignments_and_comments_become_a_tree() {
    let items = parse(
        r#"
        # a comment
        path "secret/*" { // another
            capabilities = ["read", "list",] /* with a
            line break */
            max_wrapping_ttl = 90, min_wrapping_ttl = "1m"
        }
        path = { "x" = {} }"#,
    )
    .unwrap();
    let [block, assigned] = items.as_slice() else {
        panic!("two items, got {items:?}");
    };
    assert_eq!(block.keys, ["path", "secret/*"]);
    assert_eq!(block.on_line(), " on line 3");
    let Value::Object(members) = &block.value else {
        panic!("an object");
    };
    let keys: Vec<&str> = members.iter().map(Item::key).collect();
    assert_eq!(
        keys,
        ["capabilities", "max_wrapping_ttl", "min_wrapping_ttl"]
    );
    assert_eq!(
        members[0].value,
        Value::List(vec![text("read"), text("list")])
    );
    assert_eq!(assigned.keys, ["path"]);
    assert!(parse("").unwrap().is_empty());
    assert!(parse("# nothing but a comment").unwrap().is_empty());
}

#[test]
fn literals_have_the_values_of_the_original() {
    for (literal, expected) in [
        ("12", Value::Integer(12)),
        ("-12", Value::Integer(-12)),
        ("0x1F", Value::Integer(31)),
        ("010", Value::Integer(8)),
        ("0", Value::Integer(0)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("1.5", Value::Float(1.5)),
        (".5", Value::Float(0.5)),
        ("-2e3", Value::Float(-2000.0)),
        ("1e-2", Value::Float(0.01)),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        (r#""a\"b\\c\n\t""#, text("a\"b\\c\n\t")),
        (r#""\u00e9\x41\101\U0001F511""#, text("éAA🔑")),
        (
            r#""${ "quotes" and {braces} } after""#,
            text("${ \"quotes\" and {braces} } after"),
        ),
        (
            r#""{{identity.entity.id}}""#,
            text("{{identity.entity.id}}"),
        ),
        ("[]", Value::List(Vec::new())),
        (
            "[[1], 2]",
            Value::List(vec![
                Value::List(vec![Value::Integer(1)]),
                Value::Integer(2),
            ]),
        ),
    ] {
        assert_eq!(only(&format!("x = {literal}")), expected, "{literal}");
    }
}

#[test]
fn heredocs_keep_their_lines() {
    assert_eq!(only("x = <<EOF\na\n  b\nEOF\n"), text("a\n  b\n"));
    assert_eq!(only("x = <<EOF\r\na\r\nEOF\r\n"), text("a\n"));
    assert_eq!(
        only("x = <<-EOF\n    a\n      b\n    EOF\n"),
        text("a\n  b\n")
    );
    assert_eq!(
        only("x = <<-EOF\n  a\n    EOF\n"),
        text("  a\n"),
        "not all lines are indented"
    );
    assert_eq!(only("x = <<EOF\nEOF"), text(""), "at the end of the text");
    assert_eq!(only("x = <<EOF\nEOFX\nEOF\n"), text("EOFX\n"));
}

#[test]
fn errors_say_where() {
    for (source, message) in [
        (
            "path \"x\" {\n  capabilities = [\"read\"\n}",
            "At 3:1: expected ',' or ']' in a list, got '}'",
        ),
        (
            "path \"x\" {",
            "At 1:11: expected a key or '}', got the end of the text",
        ),
        (
            "path \"x\"",
            "At 1:9: expected '{' or '=' after key 'path x', got the end of the text",
        ),
        (
            "a b = 1",
            "At 1:5: expected '{' or '=' after key 'a b', got '='",
        ),
        ("= 1", "At 1:1: expected a key, got '='"),
        ("true = 1", "At 1:1: expected a key, got a boolean"),
        ("x = }", "At 1:5: expected a value, got '}'"),
        ("}", "At 1:1: expected a key, got '}'"),
        ("x = \"a", "At 1:5: literal not terminated"),
        ("x = \"a\nb\"", "At 1:5: literal not terminated"),
        ("x = \"é\\q\"", "At 1:7: illegal char escape"),
        ("x = \"\\xff\"", "At 1:6: illegal char escape"),
        ("x = \"\\ud800\"", "At 1:6: illegal char escape"),
        (
            "x = [1 2]",
            "At 1:8: expected ',' or ']' in a list, got a number",
        ),
        ("x = [,]", "At 1:6: expected a value, got ','"),
        ("x = 09", "At 1:5: illegal number \"09\""),
        ("x = 1e999", "At 1:5: illegal number \"1e999\""),
        (
            "x = 99999999999999999999",
            "At 1:5: illegal number \"99999999999999999999\"",
        ),
        ("x = 0x", "At 1:5: illegal number \"0x\""),
        ("x = inf", "At 1:5: expected a value, got a name"),
        ("/* open", "At 1:1: comment not terminated"),
        ("x / y", "At 1:3: expected '/' for comment"),
        ("x = <<EOF\na", "At 1:5: heredoc not terminated"),
        ("x = <<\n", "At 1:5: zero-length heredoc anchor"),
        (
            "x = <<A B\n",
            "At 1:5: invalid characters in heredoc anchor",
        ),
        (
            "x = <A",
            "At 1:5: heredoc expected second '<', didn't see it",
        ),
        ("\n  x = ;", "At 2:7: illegal character ';'"),
    ] {
        assert_eq!(error(source), message, "{source}");
    }
}

#[test]
fn deep_and_wide_documents_are_refused() {
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error(&deep).contains("nested more than"));
    let blocks = "a {".repeat(100_000);
    assert!(error(&blocks).contains("nested more than"));
    let wide = format!("x = [{}]", "1,".repeat(70_000));
    assert!(error(&wide).contains("values"));
    let labels = format!("{} {{}}", "a ".repeat(70_000));
    assert!(error(&labels).contains("values"));
}

/// Prints a tree as HCL1, in the notation that allows every text as a key.
fn print(items: &[Item]) -> String {
    let print_value = |value: &Value| match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(flag) => flag.to_string(),
        Value::List(values) => {
            values.iter().fold(String::from("["), |list, value| {
                let Value::Text(text) = value else {
                    panic!("only lists of texts are made");
                };
                format!("{list}{text:?}, ")
            }) + "]"
        }
        Value::Object(items) => format!("{{ {} }}", print(items)),
    };
    items
        .iter()
        .map(|item| {
            let keys: Vec<String> = item.keys.iter().map(|key| format!("{key:?}")).collect();
            let sign = if keys.len() == 1 { "=" } else { "" };
            format!("{} {sign} {}\n", keys.join(" "), print_value(&item.value))
        })
        .collect()
}

fn without_positions(items: Vec<Item>) -> Vec<Item> {
    items
        .into_iter()
        .map(|item| Item {
            position: None,
            value: match item.value {
                Value::Object(items) => Value::Object(without_positions(items)),
                value => value,
            },
            ..item
        })
        .collect()
}

/// Texts whose Rust notation is also HCL1's.
fn plain_text() -> impl Strategy<Value = String> {
    "[a-zé/*+ {}\"\\\\\n\t#=-]{0,8}"
}

fn tree() -> impl Strategy<Value = Vec<Item>> {
    let leaf = prop_oneof![
        plain_text().prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Bool),
        (-1e9..1e9f64).prop_map(Value::Float),
        prop::collection::vec(plain_text().prop_map(Value::Text), 0..3).prop_map(Value::List),
    ];
    let items = |value: BoxedStrategy<Value>| {
        let item = (plain_text(), value).prop_map(|(key, value)| Item {
            keys: vec![key],
            position: None,
            value,
        });
        prop::collection::vec(item, 0..4)
    };
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        items(inner.boxed()).prop_map(Value::Object)
    });
    let item = (prop::collection::vec(plain_text(), 1..3), value).prop_map(|(keys, value)| Item {
        value: match value {
            // Only a block may have more than one key.
            Value::Object(items) => Value::Object(items),
            value if keys.len() == 1 => value,
            _ => Value::Object(Vec::new()),
        },
        keys,
        position: None,
    });
    prop::collection::vec(item, 0..4)
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(items in tree()) {
        let text = print(&items);
        prop_assert_eq!(without_positions(parse(&text).unwrap()), items, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_near_miss_makes_it_panic(text in "(path|[ab]|\"|\\\\|x=|<<-?A\n|A\n|[{}\\[\\],=#/*]|\\$\\{|0x|-1|\\.|e9|[ \n]){0,24}") {
        let _ = parse(&text);
    }
}
