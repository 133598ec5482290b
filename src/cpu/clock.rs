//! The core clock as the kernels see it, and the instruction floor of each level. `bench` compares
//! rates with them.

use super::level::{Kernels, Level, LevelError};
use crate::plan::Plan;
use crate::steps::{LAST_FILTER_STEP, rotation};
use std::time::Instant;

/// Adds in one measurement: about ten milliseconds.
const ADDS: u64 = 32_000_000;

/// Adds in the body of a measured loop.
const UNROLLED: u64 = 16;

/// Measurements, of which the fastest counts: interruptions only slow one down.
const REPEATS: usize = 5;

/// Measures the core clock in Hz while vectors as wide as `level`'s are added; `None` on processors
/// for which there is no loop here.
///
/// # Errors
/// This machine lacks the level.
pub fn clock_hz(level: Level) -> Result<Option<f64>, LevelError> {
    Kernels::new(level)?;
    let fastest = |adds: Adds| {
        let rate = || {
            let began = Instant::now();
            std::hint::black_box(adds(ADDS / UNROLLED));
            ADDS as f64 / began.elapsed().as_secs_f64()
        };
        (0..REPEATS).map(|_| rate()).fold(0.0, f64::max)
    };
    Ok(loops(level).map(|[integers, vectors]| {
        let (integers, vectors) = (fastest(integers), fastest(vectors));
        clock(integers, vectors)
    }))
}

/// Returns the clock from the rates of dependent adds of integers and of vectors.
///
/// A dependent add takes a whole number of cycles: one on most cores, two for vectors on Zen 5. The
/// ratio to integers, whose add takes one cycle everywhere, tells how many.
fn clock(integers: f64, vectors: f64) -> f64 {
    vectors * (integers / vectors).round().max(1.0)
}

/// Returns the cycles that one candidate of `plan` costs at `level` if every vector port is always
/// busy.
///
/// AVX-512: five instructions a step on two ports, 188 in all for the 38 steps of a tunnel. AVX2:
/// three ports. Scalar: four. The counts are explained in docs/performance.md.
pub fn floor_cycles(level: Level, plan: &Plan) -> f64 {
    let last = LAST_FILTER_STEP;
    let blocks = plan.later_blocks.len();
    let ends = (0..=blocks).map(|block| if block == blocks { last } else { 63 });
    let steps =
        ends.enumerate().flat_map(|(n, end)| if n == 0 { plan.start..=end } else { 0..=end });
    let instructions: f64 = steps.map(|i| step_instructions(level, i)).sum();
    // Hoisting saves more in the first member steps than the filter costs.
    let saved = if level == Level::Avx512 && plan.start > 16 { 2.0 } else { 0.0 };
    let ports = match level {
        Level::Scalar => 4.0,
        Level::Avx2 => 3.0,
        Level::Avx512 => 2.0,
    };
    (instructions - saved) / ports / f64::from(level.lanes())
}

fn step_instructions(level: Level, i: usize) -> f64 {
    match (level, i / 16) {
        (Level::Avx512, _) => 5.0,
        (Level::Avx2, 0 | 1) => 9.0,
        (Level::Avx2, 2) if rotation(i) == 16 => 5.5,
        (Level::Avx2, 2) => 7.5,
        (Level::Avx2, _) => 8.0,
        (Level::Scalar, 2) => 5.5,
        (Level::Scalar, _) => 7.0,
    }
}

/// Adds 1 [`UNROLLED`] times a round, each add needing the one before; returns the sum.
type Adds = fn(u64) -> u32;

/// Returns loops of dependent adds: of integers, and of vectors as wide as the level's.
#[cfg(target_arch = "x86_64")]
fn loops(level: Level) -> Option<[Adds; 2]> {
    macro_rules! adds {
        ($name:ident, $feature:literal, $class:ident, $add:literal, $splat:expr, $low:expr) => {
            #[target_feature(enable = $feature)]
            fn $name(rounds: u64) -> u32 {
                let (mut sum, one) = ($splat(0), $splat(1));
                for _ in 0..rounds {
                    // SAFETY: adds registers and touches nothing else.
                    unsafe {
                        std::arch::asm!(
                            $add, $add, $add, $add, $add, $add, $add, $add,
                            $add, $add, $add, $add, $add, $add, $add, $add,
                            inout($class) sum, in($class) one,
                            options(nomem, nostack, pure)
                        );
                    }
                }
                $low(sum) as u32
            }
        };
    }
    use std::arch::x86_64::{_mm256_cvtsi256_si32, _mm256_set1_epi32};
    use std::arch::x86_64::{_mm512_cvtsi512_si32, _mm512_set1_epi32};
    use std::convert::identity;
    adds!(integers, "sse2", reg, "add {0}, {1}", identity::<u64>, identity);
    adds!(avx2, "avx2", ymm_reg, "vpaddd {0}, {0}, {1}", _mm256_set1_epi32, _mm256_cvtsi256_si32);
    adds!(
        avx512,
        "avx512f",
        zmm_reg,
        "vpaddd {0}, {0}, {1}",
        _mm512_set1_epi32,
        _mm512_cvtsi512_si32
    );
    // SAFETY: sse2 is part of x86-64; `clock_hz` has checked the level.
    let integers: Adds = |rounds| unsafe { integers(rounds) };
    Some(match level {
        Level::Scalar => [integers, integers],
        // SAFETY: as above.
        Level::Avx2 => [integers, |rounds| unsafe { avx2(rounds) }],
        // SAFETY: as above.
        Level::Avx512 => [integers, |rounds| unsafe { avx512(rounds) }],
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn loops(_: Level) -> Option<[Adds; 2]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::{Layout, SeedSpace};

    fn plan(layout: Layout, string: &str) -> Plan {
        let puzzle =
            Puzzle::new(string, Difficulty::from_bits(20).unwrap(), Encoding::Text).unwrap();
        let space = SeedSpace::new(&puzzle, layout).unwrap();
        Plan::new(&space, 1 << 28).unwrap()
    }

    #[test]
    fn floors_are_the_instruction_counts_of_the_notes() {
        let instructions = |level: Level, ports, layout| {
            floor_cycles(level, &plan(layout, "A7C02215FC")) * f64::from(level.lanes()) * ports
        };
        assert_eq!(instructions(Level::Avx512, 2.0, Layout::Tunnel), 188.0);
        assert_eq!(instructions(Level::Avx512, 2.0, Layout::Counting), 5.0 * 60.0);
        assert_eq!(instructions(Level::Avx2, 3.0, Layout::Tunnel), 297.0);
    }

    #[test]
    fn later_blocks_cost_their_steps() {
        let cycles = floor_cycles(Level::Avx512, &plan(Layout::Tunnel, &"ab".repeat(60)));
        assert_eq!(cycles * 32.0, 5.0 * (41.0 + 64.0 + 61.0) - 2.0);
    }

    #[test]
    fn the_clock_counts_whole_cycles_per_add() {
        assert_eq!(clock(4.0e9, 4.0e9), 4.0e9);
        assert_eq!(clock(4.0e9, 2.02e9), 4.04e9, "two cycles for a vector");
        assert_eq!(clock(4.0e9, 1.3e9), 3.9e9, "three cycles");
        assert_eq!(clock(1.0e9, 4.0e9), 4.0e9, "interrupted integers count at least one");
    }

    #[test]
    fn the_measured_loops_do_all_their_adds() {
        for level in Level::available() {
            let loops = loops(level);
            assert_eq!(loops.is_some(), cfg!(target_arch = "x86_64"));
            for adds in loops.into_iter().flatten() {
                assert_eq!(u64::from(adds(1000)), 1000 * UNROLLED, "{level}");
            }
        }
    }
}
