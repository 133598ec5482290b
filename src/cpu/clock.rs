//! The core clock as the kernels see it, and the instruction floors of each level: what `bench`
//! holds rates against.

use super::level::{Kernels, Level, LevelError};
use crate::plan::Plan;
use crate::steps::{LAST_FILTER_STEP, rotation};
use std::time::Instant;

/// Adds in one measurement: about ten milliseconds.
const ADDS: u64 = 32_000_000;

/// Adds in the body of a measured loop.
const UNROLLED: u64 = 16;

/// Measurements of which the fastest counts: interruptions only ever slow one down.
const REPEATS: usize = 5;

/// The core clock in Hz while vectors as wide as `level`'s are added; `None` on processors for
/// which there is no loop here.
///
/// A dependent add takes a whole number of cycles: one on most cores, two for vectors on Zen 5. How
/// many is seen by comparing with integers, whose add takes one cycle everywhere.
///
/// # Errors
/// This machine lacks the level.
pub fn clock_hz(level: Level) -> Result<Option<f64>, LevelError> {
    Kernels::new(level)?;
    let fastest = |adds: fn(u64)| {
        let rate = || {
            let began = Instant::now();
            adds(ADDS / UNROLLED);
            ADDS as f64 / began.elapsed().as_secs_f64()
        };
        (0..REPEATS).map(|_| rate()).fold(0.0, f64::max)
    };
    Ok(loops(level).map(|[integers, vectors]| {
        let (integers, vectors) = (fastest(integers), fastest(vectors));
        vectors * (integers / vectors).round().max(1.0)
    }))
}

/// Cycles that one candidate of `plan` costs at `level` if every vector port is busy every cycle.
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
    // The steps whose older inputs belong to the base save more than the filter costs.
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

/// Loops of dependent adds: of integers, and of vectors as wide as the level's.
#[cfg(target_arch = "x86_64")]
fn loops(level: Level) -> Option<[fn(u64); 2]> {
    /// A loop of sixteen adds, each needing the one before.
    macro_rules! adds {
        ($name:ident, $class:ident, $type:ty, $zero:expr, $feature:literal, $add:literal) => {
            #[target_feature(enable = $feature)]
            fn $name(rounds: u64) {
                let (mut sum, one): ($type, $type) = ($zero, $zero);
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
                std::hint::black_box(sum);
            }
        };
    }
    use std::arch::x86_64::{__m256i, __m512i, _mm256_setzero_si256, _mm512_setzero_si512};
    adds!(integers, reg, u64, 0, "sse2", "add {0}, {1}");
    adds!(avx2, ymm_reg, __m256i, _mm256_setzero_si256(), "avx2", "vpaddd {0}, {0}, {1}");
    adds!(avx512, zmm_reg, __m512i, _mm512_setzero_si512(), "avx512f", "vpaddd {0}, {0}, {1}");
    // SAFETY: sse2 is part of x86-64; `clock_hz` has made sure of the level.
    let integers: fn(u64) = |rounds| unsafe { integers(rounds) };
    Some(match level {
        Level::Scalar => [integers, integers],
        // SAFETY: as above.
        Level::Avx2 => [integers, |rounds| unsafe { avx2(rounds) }],
        // SAFETY: as above.
        Level::Avx512 => [integers, |rounds| unsafe { avx512(rounds) }],
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn loops(_: Level) -> Option<[fn(u64); 2]> {
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
    fn a_clock_is_measured_at_every_level() {
        for level in Level::available() {
            let clock = clock_hz(level).unwrap();
            assert_eq!(clock.is_some(), cfg!(target_arch = "x86_64"));
            // How fast is not tested: an emulated processor has any clock.
            assert!(clock.is_none_or(|hz| hz > 0.0 && hz.is_finite()), "{level}: {clock:?}");
        }
    }
}
