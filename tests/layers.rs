//! The arrows of ARCHITECTURE.md hold: no room uses another one that its line does not name, every
//! arrow is used, and inside a room no modules use each other in a circle.
//!
//! Modules are files. Their paths are read off the sources: `crate::`, `super::`, `self::` and the
//! names of child modules. A name that a module only passes on (`use`) counts as its origin's. Tests
//! inside the library may use anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Names = BTreeSet<String>;

/// The rooms and what each may use, from the block under "The house": an entry begins with `src/`,
/// and its arrow points to a list of names, to `everything`, or is not there.
fn arrows(architecture: &str) -> Vec<(String, Names)> {
    let block = architecture.split("## The house").nth(1).expect("the section on the house");
    let block = block.split("```").nth(1).expect("a block in it");
    let mut rooms: Vec<(String, Names)> = Vec::new();
    for entry in block.split("\nsrc/").skip(1) {
        let entry = entry.split_whitespace().collect::<Vec<_>>().join(" ");
        let room = entry.split([' ', '/', '.']).next().unwrap().to_owned();
        let used = match entry.rsplit_once("-> ") {
            None => Names::new(),
            Some((_, "everything")) => rooms.iter().map(|(name, _)| name.clone()).collect(),
            Some((_, list)) => list.split(", ").map(str::to_owned).collect(),
        };
        rooms.push((room, used));
    }
    rooms
}

/// A source file as a module.
struct Module {
    /// Its path from the root of the crate, such as `["net", "server", "tcp"]`.
    path: Vec<String>,
    /// Its source without comments and inner tests.
    code: String,
}

fn modules() -> Vec<Module> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let module = |file: &std::path::PathBuf| {
        let name = file.strip_prefix(&src).unwrap().with_extension("");
        let mut path: Vec<String> =
            name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        path.pop_if(|last| last == "mod" || last == "lib");
        Module { path, code: without_comments(&fs::read_to_string(file).unwrap()) }
    };
    let all = files.iter().map(module);
    all.filter(|module| !module.path.iter().any(|part| part == "tests")).collect()
}

fn collect(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn without_comments(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let lines = lines.map(|line| line.split(" // ").next().unwrap());
    without_inner_modules(&lines.collect::<Vec<_>>().join("\n"))
}

/// Lets the paths in `mod name { .. }` begin where those of the file do: `super` is the file there.
fn without_inner_modules(code: &str) -> String {
    let (mut flat, mut inside) = (String::new(), false);
    for line in code.lines() {
        let opens = line.starts_with("mod ") || line.starts_with("pub") && line.contains(" mod ");
        inside |= opens && line.ends_with('{');
        inside &= line != "}";
        // A visibility uses nothing.
        let line = line.replace("pub(in super::super)", "pub");
        let line = if inside { line.replacen("super::", "self::", 1) } else { line };
        flat += &line;
        flat.push('\n');
    }
    flat
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path that begins with one of `heads`, in use trees with nested braces as in expressions.
fn paths(code: &str, heads: &[&str]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for head in heads {
        for (at, _) in code.match_indices(&format!("{head}::")) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            let inside = code[..at].ends_with("::");
            if !is_word(before) && !inside {
                tree(&code[at..], &mut Vec::new(), &mut all);
            }
        }
    }
    all
}

/// Reads a use tree, or a path, at the front of `text` and returns what follows it.
fn tree<'a>(text: &'a str, front: &mut Vec<String>, all: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, &mut front.clone(), all).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => return &more.trim_start()[1..],
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let length = text.find(|c| !is_word(c)).unwrap_or(text.len());
    if length > 0 && &text[..length] != "self" || front.is_empty() {
        front.push(text[..length].to_owned());
    }
    let rest = &text[length..];
    match rest.strip_prefix("::") {
        Some(more) if more.starts_with(|c| is_word(c) || c == '{') => tree(more, front, all),
        _ => {
            all.push(front.clone());
            let rest = rest.strip_prefix('*').or(rest.strip_prefix("::*")).unwrap_or(rest);
            let alias = rest.trim_start().strip_prefix("as ");
            alias.map_or(rest, |alias| alias.trim_start_matches(is_word))
        }
    }
}

/// What the modules of the crate use of each other.
struct Uses {
    all: BTreeMap<Vec<String>, Module>,
}

impl Uses {
    fn read() -> Self {
        Self { all: modules().into_iter().map(|module| (module.path.clone(), module)).collect() }
    }

    /// Names of the modules directly below one.
    fn children(&self, path: &[String]) -> Vec<&str> {
        let below = self.all.keys().filter(|other| other.starts_with(path));
        below.filter_map(|other| other.get(path.len())).map(String::as_str).collect()
    }

    /// Paths in a piece of a module's code, from the root of the crate.
    fn absolute(&self, module: &[String], code: &str) -> Vec<Vec<String>> {
        let children = self.children(module);
        let mut found = paths(code, &["crate", "super", "self", "seedrush"]);
        found.extend(paths(code, &children));
        let absolute = |path: Vec<String>| {
            let mut base = match path[0].as_str() {
                "crate" | "seedrush" => Vec::new(),
                _ => module.to_vec(),
            };
            for part in path {
                match part.as_str() {
                    "crate" | "seedrush" | "self" => {}
                    "super" => drop(base.pop()),
                    _ => base.push(part),
                }
            }
            base
        };
        found.into_iter().map(absolute).collect()
    }

    /// The module in which the item at this path is defined: a name that a module has from
    /// elsewhere leads there.
    fn origin(&self, path: &[String], depth: usize) -> Vec<String> {
        let longest = (0..=path.len()).rev().find(|&n| self.all.contains_key(&path[..n]));
        let (module, rest) = path.split_at(longest.unwrap_or(0));
        let (Some(name), Some(known)) = (rest.first(), self.all.get(module)) else {
            return module.to_vec();
        };
        let imports: Vec<&str> = known.code.split("use ").skip(1).collect();
        let passed_on = imports.iter().filter_map(|import| import.split(';').next());
        let passed_on = passed_on.flat_map(|import| self.absolute(module, import));
        let mut passed_on = passed_on.filter(|path| path.last() == Some(name));
        match passed_on.next() {
            Some(from) if depth < 5 && from.as_slice() != path => self.origin(&from, depth + 1),
            _ => module.to_vec(),
        }
    }

    /// The modules that one uses itself: what it only passes on is not among them.
    fn used_by(&self, module: &Module) -> BTreeSet<Vec<String>> {
        let mut code = String::new();
        for (n, part) in module.code.split("use ").enumerate() {
            let public =
                code.lines().last().is_some_and(|line| line.trim_start().starts_with("pub"));
            // A `pub use` is skipped to its end.
            code += part.find(';').filter(|_| n > 0 && public).map_or(part, |end| &part[end..]);
        }
        let paths = self.absolute(&module.path, &code);
        paths.iter().map(|path| self.origin(path, 0)).collect()
    }
}

#[test]
fn rooms_use_what_their_arrows_say() {
    let architecture = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let arrows = arrows(&fs::read_to_string(architecture).unwrap());
    assert!(arrows.len() > 15, "{arrows:?}");
    let uses = Uses::read();
    let mut used: BTreeMap<&str, Names> = BTreeMap::new();
    let mut wrong = Vec::new();
    for module in uses.all.values().filter(|module| !module.path.is_empty()) {
        let room = module.path[0].as_str();
        let Some((_, allowed)) = arrows.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("{room} has no line in ARCHITECTURE.md"));
            continue;
        };
        for path in uses.absolute(&module.path, &module.code) {
            let to = uses.all.keys().any(|known| known.first() == path.first());
            let Some(to) = path.first().filter(|_| to).filter(|to| *to != room) else { continue };
            if !allowed.contains(to) {
                wrong.push(format!("{} may not use {to}", module.path.join("::")));
            }
            used.entry(room).or_default().insert(to.clone());
        }
    }
    for (room, allowed) in &arrows {
        let used = used.remove(room.as_str()).unwrap_or_default();
        let free = room == "cli";
        let idle: Vec<_> = allowed.difference(&used).filter(|_| !free).collect();
        if !idle.is_empty() {
            wrong.push(format!("{room} does not use {idle:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let uses = Uses::read();
    let edges: BTreeMap<_, _> =
        uses.all.values().map(|module| (&module.path, uses.used_by(module))).collect();
    let reach = |from: &Vec<String>| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&Vec<String>> = edges[from].iter().collect();
        while let Some(next) = open.pop() {
            if next != from && edges.contains_key(next) && reached.insert(next) {
                open.extend(&edges[next]);
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|&path| (path, reach(path))).collect();
    let mut circles = Names::new();
    for (path, others) in &reached {
        let back = |other: &&Vec<String>| reached.get(other).is_some_and(|r| r.contains(path));
        for other in edges[path].iter().filter(|other| *other != *path).filter(back) {
            println!("{} uses {}", path.join("::"), other.join("::"));
        }
        if others.iter().copied().any(|other| back(&other)) {
            circles.insert(path.join("::"));
        }
    }
    assert!(circles.is_empty(), "modules in circles: {circles:?}");
}

#[test]
fn paths_are_read_from_nested_lists_and_expressions() {
    let text =
        "use crate::{a::{B, c::{self, D,},}, e};\nlet y = crate::d::e(crate::f::G::<u8>::h());";
    let found: Vec<String> =
        paths(text, &["crate"]).iter().map(|path| path[1..].join("::")).collect();
    assert_eq!(found, ["a::B", "a::c", "a::c::D", "e", "d::e", "f::G"]);
}

#[test]
fn arrows_are_read_over_lines() {
    let text = "## The house\n```\nsrc/a.rs  first\nsrc/b/    second, long\n          -> a\n\
                src/c/    third -> a,\n          b\nsrc/d/ last -> everything\n```\n";
    let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Names>();
    let expected = [("a", list(&[])), ("b", list(&["a"])), ("c", list(&["a", "b"]))];
    let expected = expected.map(|(room, used)| (room.to_owned(), used)).to_vec();
    let last = ("d".to_owned(), list(&["a", "b", "c"]));
    assert_eq!(arrows(text), [expected, vec![last]].concat());
}
