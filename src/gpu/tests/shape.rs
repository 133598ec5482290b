//! The shaders that drivers receive: structs laid out as in Rust, SPIR-V without slow constructs.

use super::super::params::{FOUND_HEADER, Params};
use super::super::shader::Shape;
use crate::plan::TUNNEL_START;
use naga::back::spv;
use std::collections::HashMap;
use std::mem::offset_of;

fn tunnel() -> Shape {
    Shape { start: TUNNEL_START, text: true, more: false, base_words: vec![6, 8] }
}

/// Returns one shape of each kind that plans have.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for start in (0..13).chain([TUNNEL_START]) {
        for (text, more) in [(false, false), (false, true), (true, false), (true, true)] {
            let base_words = if start == 0 { vec![] } else { vec![start % 16, start % 16 - 1] };
            shapes.push(Shape { start, text, more, base_words });
        }
    }
    shapes
}

fn parsed(shape: &Shape) -> (naga::Module, naga::valid::ModuleInfo) {
    let text = shape.wgsl(64);
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{shape:?}\n{}", error.emit_to_string(&text)));
    // No capabilities: core WGSL, which a browser compiles too.
    let info = naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::empty(),
    )
    .validate(&module)
    .unwrap_or_else(|error| panic!("{shape:?}: {error:?}"));
    (module, info)
}

#[test]
fn every_shape_is_core_wgsl() {
    for shape in shapes() {
        let text = shape.wgsl(64);
        assert!(!text.contains(['$', '#']), "{shape:?}: something was not filled in\n{text}");
        let (module, _) = parsed(&shape);
        assert_eq!(module.entry_points.len(), 1);
        assert_eq!(module.entry_points[0].workgroup_size, [64, 1, 1]);
    }
}

/// Returns the offsets of a struct's fields by name, and its size.
fn layout(module: &naga::Module, name: &str) -> (HashMap<String, u32>, u32) {
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap();
    let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("no struct {name}") };
    let offsets = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset));
    (offsets.collect(), *span)
}

#[test]
fn rust_and_the_shader_agree_on_the_structs() {
    let (module, _) = parsed(&tunnel());
    let (offsets, size) = layout(&module, "Params");
    let mirror = [
        ("first", offset_of!(Params, first)),
        ("bases", offset_of!(Params, bases)),
        ("from_member", offset_of!(Params, from_member)),
        ("to_member", offset_of!(Params, to_member)),
        ("mask", offset_of!(Params, mask)),
        ("capacity", offset_of!(Params, capacity)),
        ("tag", offset_of!(Params, tag)),
        ("blocks", offset_of!(Params, blocks)),
        ("constants", offset_of!(Params, constants)),
        ("base_words", offset_of!(Params, base_words)),
        ("rows", offset_of!(Params, rows)),
    ];
    let mirror = mirror.map(|(name, offset)| (name.to_owned(), offset as u32));
    assert_eq!(offsets, HashMap::from(mirror));
    assert_eq!(size as usize, size_of::<Params>());
    let (found, _) = layout(&module, "Found");
    assert_eq!((found["count"], found["list"] as usize), (0, FOUND_HEADER));
}

/// Returns the SPIR-V that wgpu makes for a trusted module without run-time checks.
fn spirv(shape: &Shape) -> Vec<u32> {
    let (module, info) = parsed(shape);
    let unchecked = naga::proc::BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: naga::proc::BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    spv::write_vec(&module, &info, &options, None).unwrap()
}

/// Returns opcode and operands of every instruction, after a header of five words.
fn instructions(spirv: &[u32]) -> Vec<(u32, &[u32])> {
    let mut rest = &spirv[5..];
    let mut all = Vec::new();
    while let [first, ..] = rest {
        let (instruction, behind) = rest.split_at((first >> 16) as usize);
        all.push((first & 0xffff, &instruction[1..]));
        rest = behind;
    }
    all
}

const OP_FUNCTION_CALL: u32 = 57;
const OP_VARIABLE: u32 = 59;
const OP_FUNCTION: u32 = 54;
const OP_FUNCTION_END: u32 = 56;
const OP_LOOP_MERGE: u32 = 246;
const OP_LABEL: u32 = 248;

/// Returns true for conversions, arithmetic, comparisons and bits: 109 to 205 in the specification.
fn is_arithmetic(opcode: u32) -> bool {
    (109..=205).contains(&opcode)
}

/// Returns the instructions of the only loop, with its header and continue block.
fn loop_body<'a, 'b>(all: &'a [(u32, &'b [u32])]) -> &'a [(u32, &'b [u32])] {
    let is_loop = |(opcode, _): &(u32, &[u32])| *opcode == OP_LOOP_MERGE;
    assert_eq!(all.iter().filter(|i| is_loop(i)).count(), 1);
    let begin = all.iter().position(is_loop).unwrap();
    let merge = all[begin].1[0];
    let end = all.iter().position(|(op, ids)| *op == OP_LABEL && ids[0] == merge).unwrap();
    &all[begin..end]
}

#[test]
fn a_tunnel_candidate_costs_at_most_350_arithmetic_instructions() {
    let spirv = spirv(&tunnel());
    let all = instructions(&spirv);
    let body = loop_body(&all);
    let cost = body.iter().filter(|(opcode, _)| is_arithmetic(*opcode)).count();
    println!("{cost} arithmetic instructions a candidate");
    // 38 steps need at least this many: the count covers the whole loop.
    assert!((38 * 8..=350).contains(&cost), "{cost}");
    // The only call is of `record`, after the filter.
    assert_eq!(body.iter().filter(|(opcode, _)| *opcode == OP_FUNCTION_CALL).count(), 1);
}

#[test]
fn the_loop_has_one_variable_and_no_bound() {
    for shape in [tunnel(), Shape { start: 11, base_words: vec![11, 10], ..tunnel() }] {
        let spirv = spirv(&shape);
        let all = instructions(&spirv);
        // Only `search` has a loop; naga puts its variables at its top.
        let at = all.iter().position(|(opcode, _)| *opcode == OP_LOOP_MERGE).unwrap();
        let from = all[..at].iter().rposition(|(opcode, _)| *opcode == OP_FUNCTION).unwrap();
        let to = at + all[at..].iter().position(|(opcode, _)| *opcode == OP_FUNCTION_END).unwrap();
        let variables = all[from..to].iter().filter(|(opcode, _)| *opcode == OP_VARIABLE).count();
        // Only `member`: a local array, a Q that is not a value, or naga's loop bound would add one.
        assert_eq!(variables, 1, "{shape:?}");
    }
}
