//! The text of `--version`.

use crate::cpu::Level;
use std::sync::LazyLock;

/// `0.1.0 (commit 1234abc, features gpu, levels scalar avx2)`; the levels are those of this machine.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let levels: Vec<String> = Level::available().iter().map(ToString::to_string).collect();
    format!(
        "{} ({}, features {}, levels {})",
        env!("CARGO_PKG_VERSION"),
        option_env!("SEEDRUSH_COMMIT").unwrap_or("commit unknown"),
        if cfg!(feature = "gpu") { "gpu" } else { "none" },
        levels.join(" "),
    )
});

/// Returns version, commit, features, and the levels of this machine.
pub fn text() -> &'static str {
    &TEXT
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_names_commit_features_and_levels() {
        let text = super::text();
        assert!(text.starts_with(concat!(env!("CARGO_PKG_VERSION"), " (commit ")), "{text}");
        assert!(text.contains("scalar"), "{text}");
        assert_eq!(text.contains("features gpu"), cfg!(feature = "gpu"), "{text}");
    }
}
