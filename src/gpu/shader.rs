//! Assembles core WGSL from `md5.wgsl` for the shape of a plan.
//!
//! Lines of the file that begin with `#` are instructions, words that begin with `$` are filled in:
//!
//! | line | meaning |
//! |---|---|
//! | `#if NAME` .. `#else` .. `#end` | lines for shapes that have NAME: `tunnel`, `more`, `text` |
//! | `#macro NAME` .. `#end` | lines to repeat later |
//! | `#steps NAME from..to` | the macro once for each of these MD5 steps |
//! | `#base_words` .. `#end` | lines once for each base word |
//! | `#addends` .. `#end` | lines once for each step that adds a base word |
//!
//! `override` constants would not do: naga keeps both sides of a branch on them, and no test could
//! see whether a driver removes the dead one.

use crate::plan::{Plan, TUNNEL_START, row_slot};
use crate::puzzle::Encoding;
use crate::steps::{LAST_FILTER_STEP, rotation, word_of_step};
use std::collections::HashMap;
use std::ops::Range;

const SOURCE: &str = include_str!("md5.wgsl");

/// Everything in which shaders differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) start: usize,
    pub(super) text: bool,
    /// True if there are blocks after the first.
    pub(super) more: bool,
    /// Words that hold digits of the base.
    pub(super) base_words: Vec<usize>,
}

impl Shape {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            start: plan.start,
            text: plan.encoding == Encoding::Text,
            more: !plan.later_blocks.is_empty(),
            base_words: plan.base_words.iter().map(|word| word.word).collect(),
        }
    }

    /// Returns the shader for workgroups of `workgroup` invocations.
    pub(super) fn wgsl(&self, workgroup: u32) -> String {
        let mut assembler = Assembler { shape: self, macros: HashMap::new(), text: String::new() };
        assembler.lines(SOURCE.lines());
        assembler.text.replace("$workgroup", &workgroup.to_string())
    }

    fn is_tunnel(&self) -> bool {
        self.start == TUNNEL_START
    }

    /// Returns the end of the first block's steps that a candidate needs.
    fn end(&self) -> usize {
        if self.more { 64 } else { LAST_FILTER_STEP + 1 }
    }

    /// Returns the slot of a member's row that step `i` adds.
    fn slot(&self, i: usize) -> Option<usize> {
        row_slot(self.start, 1, i)
    }

    fn is_base_word(&self, i: usize) -> bool {
        self.base_words.contains(&word_of_step(i))
    }
}

struct Assembler<'a> {
    shape: &'a Shape,
    macros: HashMap<&'a str, String>,
    text: String,
}

impl<'a> Assembler<'a> {
    fn lines(&mut self, lines: impl Iterator<Item = &'a str>) {
        let mut lines = lines;
        // False inside an `#if` that does not hold; the file does not nest them.
        let mut keep = true;
        while let Some(line) = lines.next() {
            let mut words = line.strip_prefix('#').unwrap_or_default().split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("if"), Some(name), _) => keep = self.has(name),
                (Some("else"), ..) => keep = !keep,
                (Some("end"), ..) => keep = true,
                _ if !keep => {}
                (Some("macro"), Some(name), _) => {
                    self.macros.insert(name, block(&mut lines));
                }
                (Some("base_words"), ..) => self.base_words(&block(&mut lines)),
                (Some("addends"), ..) => self.addends(&block(&mut lines)),
                (Some("steps"), Some(name), Some(range)) => self.steps(name, range),
                // The assembled text needs no comments.
                _ if line.trim_start().starts_with("//") => {}
                _ => self.text += &format!("{line}\n"),
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "tunnel" => self.shape.is_tunnel(),
            "text" => self.shape.text,
            "more" => self.shape.more,
            _ => unreachable!("md5.wgsl has no condition {name}"),
        }
    }

    fn base_words(&mut self, line: &str) {
        for n in 0..self.shape.base_words.len() {
            self.text += &line.replace("$n", &n.to_string());
        }
    }

    fn addends(&mut self, line: &str) {
        for i in 0..self.shape.end() {
            let n = self.shape.base_words.iter().position(|&word| word == word_of_step(i));
            if let Some(n) = n {
                self.text += &fill(line, &[("$n", n.to_string())], i);
            }
        }
    }

    fn steps(&mut self, name: &str, range: &str) {
        let body = self.macros.get(name).cloned().unwrap_or_default();
        for i in self.range(range) {
            let values = [
                ("$member_sum", self.member_sum(i)),
                ("$hoisted", self.hoisted(i)),
                ("$addend", self.addend(i)),
            ];
            self.text += &fill(&body, &values, i);
        }
    }

    fn range(&self, range: &str) -> Range<usize> {
        let bound = |word: &str| match word {
            "start" => self.shape.start,
            "start+4" => self.shape.start + 4,
            number => number.parse().unwrap_or_default(),
        };
        let (from, to) = range.split_once("..").unwrap_or_default();
        bound(from)..bound(to)
    }

    /// Returns the addend of step `i` for this base.
    fn addend(&self, i: usize) -> String {
        match self.shape.is_base_word(i) {
            true => format!("addend{i}"),
            false => format!("params.constants[{}].{}", i / 4, lane(i)),
        }
    }

    /// Returns true if the row of a member includes the constant of step `i`.
    fn in_row(&self, i: usize) -> bool {
        self.shape.is_tunnel() && self.shape.slot(i).is_some()
    }

    fn hoisted(&self, i: usize) -> String {
        let mut sum = q(i, 4);
        if !self.in_row(i) {
            sum += &format!(" + {}", self.addend(i));
        }
        if i == self.shape.start { format!("{sum} + {}", boolean(i)) } else { sum }
    }

    fn member_sum(&self, i: usize) -> String {
        let mut sum = if i < self.shape.start + 4 {
            format!("hoisted{i}")
        } else if self.in_row(i) {
            q(i, 4)
        } else {
            format!("{} + {}", q(i, 4), self.addend(i))
        };
        if let Some(slot) = self.shape.slot(i) {
            sum += &format!(" + row{}.{}", slot / 4, lane(slot));
        }
        if i == self.shape.start { sum } else { format!("{sum} + {}", boolean(i)) }
    }
}

/// Takes the lines up to `#end`.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    lines.take_while(|line| *line != "#end").map(|line| format!("{line}\n")).collect()
}

/// Fills `values` into `text`, then everything that follows from the step's number.
pub(super) fn fill(text: &str, values: &[(&str, String)], i: usize) -> String {
    let filled =
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    filled
        .replace("$boolean", &boolean(i))
        .replace("$left", &rotation(i).to_string())
        .replace("$right", &(32 - rotation(i)).to_string())
        .replace("$vector", &(i / 4).to_string())
        .replace("$lane", lane(i))
        .replace("$q4", &q(i, 4))
        .replace("$q1", &q(i, 1))
        .replace("$i", &i.to_string())
}

/// Returns the name of `Q[i - back]`.
fn q(i: usize, back: usize) -> String {
    match i.checked_sub(back) {
        Some(earlier) => format!("q{earlier}"),
        None => ["qa", "qd", "qc", "qb"][i + 4 - back].to_owned(),
    }
}

/// Returns the component of a vector that holds element `n` of an array of words.
fn lane(n: usize) -> &'static str {
    ["x", "y", "z", "w"][n % 4]
}

/// Returns the boolean function of step `i`, in the form that needs the fewest instructions without
/// a three-input one.
fn boolean(i: usize) -> String {
    let (x, y, z) = (q(i, 1), q(i, 2), q(i, 3));
    match i / 16 {
        0 => format!("({z} ^ ({x} & ({y} ^ {z})))"),
        1 => format!("({y} ^ ({z} & ({x} ^ {y})))"),
        2 => format!("({x} ^ {y} ^ {z})"),
        _ => format!("({y} ^ ({x} | ~{z}))"),
    }
}
