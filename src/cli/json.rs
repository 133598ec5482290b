//! Writes the lines of `--json`: one object a line, `event` first, the last line a `result` or an
//! `error`. `docs/json-lines.schema.json` describes every event.
//!
//! Numbers are integers, so that no reader rounds them; those beyond 2^53 are decimal strings, since
//! many readers keep numbers as floats.

use super::exit::{Exit, Failure};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write as _};

/// Largest integer up to which a float tells every integer from its neighbours.
const EXACT_IN_FLOATS: u128 = 1 << 53;

/// Returns true if the command line asks for JSON; errors of the command line are told so too.
pub fn is_wanted() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

/// Writes `number` as an integer where every reader keeps it exact, else as a decimal string.
pub fn integer(number: impl Into<u128>) -> Value {
    let number = number.into();
    match u64::try_from(number) {
        Ok(small) if number <= EXACT_IN_FLOATS => small.into(),
        _ => number.to_string().into(),
    }
}

/// Rounds a rate or a count that is known as a float; see [`integer`].
pub fn rounded(number: f64) -> Value {
    integer(number.round().max(0.0) as u128)
}

/// Parts per million of a chance or a share, which JSON lines write instead of fractions.
pub fn ppm(part: f64) -> Value {
    rounded(part.clamp(0.0, 1.0) * 1e6)
}

/// Returns the line of `event`, without its end; `fields` is an object.
pub fn line(event: &str, fields: &Value) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'a str,
        #[serde(flatten)]
        fields: &'a Value,
    }
    debug_assert!(fields.is_object(), "{fields}");
    debug_assert!(!has_float(fields), "{event}: {fields}");
    // A map with string keys always serializes.
    serde_json::to_string(&Line { event, fields }).unwrap_or_default()
}

/// Prints the line of `event` on standard output.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(event: &str, fields: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line(event, fields))?;
    out.flush()
}

/// Returns the last line of a program that failed.
pub fn error_line(failure: &Failure) -> String {
    error(failure.exit, &failure.message())
}

/// Returns the last line of a program that ends with `exit` because of `message`.
pub fn error(exit: Exit, message: &str) -> String {
    line("error", &json!({ "code": exit.code(), "message": message }))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_float),
        Value::Object(fields) => fields.values().any(has_float),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_exact() {
        assert_eq!(integer(1u64 << 53), json!(1u64 << 53));
        assert_eq!(integer((1u64 << 53) + 1), json!("9007199254740993"));
        assert_eq!(integer(u128::MAX), json!("340282366920938463463374607431768211455"));
        assert_eq!(rounded(0.6), json!(1));
        assert_eq!(rounded(f64::NAN), json!(0));
        assert_eq!(ppm(0.25), json!(250_000));
    }

    #[test]
    fn the_event_comes_first() {
        let text = line("a", &json!({ "b": 1, "a": [null] }));
        assert_eq!(text, r#"{"event":"a","a":[null],"b":1}"#);
        assert_eq!(error(Exit::Usage, "no"), r#"{"event":"error","code":2,"message":"no"}"#);
    }

    #[test]
    fn floats_are_found_at_any_depth() {
        assert!(has_float(&json!({ "b": [{ "seconds": 0.5 }] })));
        assert!(!has_float(&json!({ "b": [{ "seconds": 1, "text": "0.5" }], "c": null })));
    }
}
