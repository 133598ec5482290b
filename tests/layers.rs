//! Who may use whom: the arrows of the design, read off the `crate::` paths in the sources. Tests
//! inside the library may use what they like.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every module of the library, with those that it may use. Nothing points up.
const ARROWS: &[(&str, &[&str])] = &[
    ("puzzle", &[]),
    ("span", &[]),
    ("steps", &[]),
    ("printable", &[]),
    ("seeds", &["puzzle", "span", "steps"]),
    ("plan", &["seeds", "puzzle", "span", "steps"]),
    ("backend", &["seeds", "puzzle", "span"]),
    ("cpu", &["backend", "plan", "steps", "seeds", "puzzle", "span"]),
    ("gpu", &["backend", "plan", "steps", "seeds", "puzzle", "span"]),
    ("jobs", &["puzzle", "seeds", "span"]),
    ("coordinator", &["jobs", "span", "seeds", "puzzle", "printable"]),
    ("proto", &["jobs", "seeds", "puzzle", "span", "printable"]),
    ("net", &["proto", "coordinator", "backend", "jobs", "seeds", "puzzle", "span"]),
    ("machine", &["backend", "cpu", "gpu", "puzzle"]),
    ("search", &["machine", "backend", "seeds", "puzzle", "span"]),
    ("bench", &["backend", "cpu", "gpu", "plan", "seeds", "puzzle", "span"]),
];

/// Modules that programs are made of: they may use everything.
const FREE: &[&str] = &["cli", "bin", "lib"];

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The module of the crate that each `crate::` in the text leads to.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let word = |c: &char| c.is_alphanumeric() || *c == '_';
            let name: String = name.trim().chars().take_while(word).collect();
            if !name.is_empty() {
                modules.insert(name);
            }
        }
    }
    modules
}

#[test]
fn nothing_points_up() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    let mut wrong = Vec::new();
    for (name, text) in &files {
        let module = name.split(['/', '.']).next().unwrap();
        if FREE.contains(&module) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == module) else {
            wrong.push(format!("{name}: no arrows are known for {module}"));
            continue;
        };
        if name.split(['/', '.']).any(|part| part == "tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for to in used(code) {
            if to != module && !allowed.contains(&to.as_str()) {
                wrong.push(format!("{name} may not use crate::{to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_are_read_from_lists_and_lines() {
    let text = "use crate::{a::B, c};\n// crate::x\nlet y = crate::d::e();";
    assert_eq!(used(text), ["a", "c", "d"].map(String::from).into());
}
