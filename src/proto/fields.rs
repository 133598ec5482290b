//! Checks that several messages share.

use super::{ProtoError, wire};
use crate::printable::printable;
use std::time::Duration;

pub(super) fn wrong(field: &'static str, problem: &'static str) -> ProtoError {
    ProtoError::Field { field, problem }
}

/// Checks text for people: refuses control characters, replaces what cannot be seen.
pub(super) fn text(field: &'static str, text: String, most: usize) -> Result<String, ProtoError> {
    if text.len() > most {
        return Err(wrong(field, "too long"));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(field, "control characters"));
    }
    // Invisible characters are not refused: nobody could see why.
    Ok(cleaned(&text, most))
}

/// Returns `text` cut to `most` bytes, with `?` for what steers a terminal or cannot be seen.
pub fn cleaned(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for c in text.chars().map(printable) {
        if kept.len() + c.len_utf8() > most {
            break;
        }
        kept.push(c);
    }
    kept
}

pub(super) fn key(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], ProtoError> {
    bytes.try_into().map_err(|_| wrong(field, "not 16 bytes"))
}

/// Checks a rate or an amount: finite and not negative.
pub(super) fn amount(field: &'static str, value: f64) -> Result<f64, ProtoError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(wrong(field, "not an amount")) }
}

pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

pub(super) fn wide(value: u128) -> Option<wire::Wide> {
    Some(wire::Wide { high: (value >> 64) as u64, low: value as u64 })
}

pub(super) fn narrow(field: &'static str, value: Option<wire::Wide>) -> Result<u128, ProtoError> {
    let value = value.ok_or_else(|| wrong(field, "missing"))?;
    Ok(u128::from(value.high) << 64 | u128::from(value.low))
}

/// Looks up the wire's name for `value`.
pub(super) fn to_wire<W: Copy, T: PartialEq>(table: &[(W, T)], value: &T) -> Option<W> {
    table.iter().find(|(_, typed)| typed == value).map(|(wire, _)| *wire)
}

pub(super) fn from_wire<W: Copy + PartialEq, T: Clone>(
    field: &'static str,
    table: &[(W, T)],
    value: Option<W>,
) -> Result<T, ProtoError> {
    table
        .iter()
        .find(|(wire, _)| Some(*wire) == value)
        .map(|(_, typed)| typed.clone())
        .ok_or_else(|| wrong(field, "unknown value"))
}
