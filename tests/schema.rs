//! What the programs print with `--json`, held against `docs/json-lines.schema.json`.
//!
//! The checker knows the few keywords that the schema uses and fails on any other: published
//! validators bring forty crates. The schema itself was tried with one of them.

use regex_lite::Regex;
use serde_json::{Value, json};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../docs/json-lines.schema.json")).unwrap());

/// The events in `out`, each of them as the schema says, and the last one a result or an error.
pub(crate) fn events(out: &str) -> Vec<Value> {
    let events: Vec<Value> = out.lines().map(event).collect();
    let last = events.last().unwrap_or_else(|| panic!("no line at all"));
    assert!(["result", "error"].iter().any(|end| last["event"] == *end), "{last}");
    for event in &events[..events.len() - 1] {
        assert!(event["event"] != "result" && event["event"] != "error", "{event} is not last");
    }
    events
}

/// The event of one line, as the schema says.
pub(crate) fn event(line: &str) -> Value {
    let event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    if let Err(why) = check(&SCHEMA, &event) {
        panic!("{why}: {line}");
    }
    event
}

fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().unwrap();
    for (keyword, wanted) in keywords {
        check_keyword(keyword, wanted, schema, value)?;
    }
    Ok(())
}

fn check_keyword(
    keyword: &str,
    wanted: &Value,
    schema: &Value,
    value: &Value,
) -> Result<(), String> {
    let fits = match keyword {
        "$schema" | "$defs" | "title" | "description" => true,
        "$ref" => {
            let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
            return check(SCHEMA.pointer(pointer).unwrap(), value);
        }
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|name| is_of_type(name, value)),
            name => is_of_type(name, value),
        },
        "minimum" => value.as_u64() >= wanted.as_u64(),
        "maximum" => value.as_u64() <= wanted.as_u64(),
        "pattern" => {
            let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
            value.as_str().is_some_and(|text| pattern.is_match(text))
        }
        "oneOf" => {
            let results: Vec<_> =
                wanted.as_array().unwrap().iter().map(|one| check(one, value)).collect();
            match results.iter().filter(|result| result.is_ok()).count() {
                1 => true,
                many => return Err(format!("{many} of the alternatives fit: {results:?}")),
            }
        }
        "properties" => {
            let properties = wanted.as_object().unwrap();
            let given =
                properties.iter().filter_map(|(name, of)| Some((name, of, value.get(name)?)));
            for (name, of, inner) in given {
                check(of, inner).map_err(|why| format!("{name}: {why}"))?;
            }
            true
        }
        "items" => {
            let items = value.as_array().unwrap();
            return items.iter().try_for_each(|item| check(wanted, item));
        }
        "required" => {
            let names = wanted.as_array().unwrap();
            names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "additionalProperties" => {
            assert_eq!(wanted, false);
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_some_and(|map| map.keys().all(|name| known.contains_key(name)))
        }
        other => panic!("the checker does not know {other}"),
    };
    if fits { Ok(()) } else { Err(format!("{keyword} {wanted} does not hold for {value}")) }
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the checker does not know the type {other}"),
    }
}

#[test]
fn the_checker_refuses_what_the_schema_excludes() {
    let good =
        json!({ "event": "solution", "seed": "0x1F", "digest": "0".repeat(32), "nonce": "7" });
    assert_eq!(check(&SCHEMA, &good), Ok(()));
    for (field, bad) in [
        ("event", json!("solutions")),
        ("seed", json!("xyz")),
        ("digest", json!("0".repeat(31))),
        ("nonce", json!(7)),
        ("more", json!(1)),
    ] {
        let mut event = good.clone();
        event[field] = bad;
        assert!(check(&SCHEMA, &event).is_err(), "{event}");
    }
    let mut short = good;
    short.as_object_mut().unwrap().remove("digest");
    assert!(check(&SCHEMA, &short).is_err());
    let integer = &SCHEMA["$defs"]["integer"];
    for number in [json!(0), json!(1u64 << 53), json!("9007199254740993")] {
        assert_eq!(check(integer, &number), Ok(()));
    }
    for number in [json!(0.5), json!((1u64 << 53) + 1), json!("12"), json!(-1), json!(null)] {
        assert!(check(integer, &number).is_err(), "{number}");
    }
}

#[test]
fn the_schema_names_each_event_once_and_every_exit_code_of_failures() {
    let defs = SCHEMA["$defs"].as_object().unwrap();
    let events = defs.iter().filter(|(_, of)| of["properties"]["event"]["const"].is_string());
    let mut names: Vec<String> = events.map(|(name, _)| format!("#/$defs/{name}")).collect();
    let branches = SCHEMA["oneOf"].as_array().unwrap().iter();
    let mut listed: Vec<&str> = branches.map(|one| one["$ref"].as_str().unwrap()).collect();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, names);
    let codes = &defs["error"]["properties"]["code"]["enum"];
    use seedrush::cli::Exit;
    let failures = Exit::ALL.iter().filter(|exit| ![Exit::Done, Exit::Interrupted].contains(exit));
    let failures: Vec<u8> = failures.map(|exit| exit.code()).collect();
    assert_eq!(*codes, json!(failures));
}
