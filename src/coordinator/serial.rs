//! How spans are written in facts: as `[start, end]`.

use crate::span::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    (span.start(), span.end()).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let (start, end) = Deserialize::deserialize(deserializer)?;
    Ok(Span::new(start, end))
}
