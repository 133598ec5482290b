//! The AVX2 level: eight lanes. It has no three-input boolean and no rotate, so the round functions
//! are written for few instructions: see docs/performance.md.

use super::lanes::Lanes;
use std::arch::x86_64::*;

/// Proves that AVX2 was detected.
#[derive(Clone, Copy)]
pub(super) struct Token(());

impl Token {
    /// Returns the proof if this machine has AVX2.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Eight words. Made only from a [`Token`] or from other values.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256i);

/// Calls an intrinsic that needs only AVX2.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: a value of this type, or a token, exists only where AVX2 was detected.
        unsafe { $call }
    };
}

impl Avx2 {
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(intrinsic!(_mm256_xor_si256(self.0, other.0)))
    }
    /// `self & !other`
    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self(intrinsic!(_mm256_andnot_si256(other.0, self.0)))
    }
}

impl Lanes for Avx2 {
    type Token = Token;
    type Mask = __m256i;
    const COUNT: usize = 8;
    const I_BIAS: u32 = 1;

    #[inline(always)]
    fn splat(_: Token, value: u32) -> Self {
        Self(intrinsic!(_mm256_set1_epi32(value as i32)))
    }
    #[inline(always)]
    fn iota(_: Token) -> Self {
        Self(intrinsic!(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsic!(_mm256_add_epi32(self.0, other.0)))
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(intrinsic!(_mm256_and_si256(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(intrinsic!(_mm256_or_si256(self.0, other.0)))
    }
    #[inline(always)]
    fn shl(self, count: u32) -> Self {
        Self(intrinsic!(_mm256_sll_epi32(self.0, _mm_cvtsi32_si128(count as i32))))
    }
    #[inline(always)]
    fn shr(self, count: u32) -> Self {
        Self(intrinsic!(_mm256_srl_epi32(self.0, _mm_cvtsi32_si128(count as i32))))
    }
    #[inline(always)]
    fn rotl<const N: i32>(self) -> Self {
        if N == 16 {
            const SWAP: [i8; 16] = [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13];
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = SWAP;
            return Self(intrinsic!(_mm256_shuffle_epi8(
                self.0,
                _mm256_setr_epi8(
                    a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, a, b, c, d, e, f, g, h, i, j,
                    k, l, m, n, o, p
                )
            )));
        }
        self.shl(N as u32).or(self.shr(32 - N as u32))
    }
    #[inline(always)]
    fn add_f(self, x: Self, y: Self, z: Self) -> Self {
        self.add(z.xor(x.and(y.xor(z))))
    }
    #[inline(always)]
    fn add_g(self, x: Self, y: Self, z: Self) -> Self {
        // The two halves share no bit, so their sum is their union. The first does not wait for x.
        self.add(y.without(z)).add(x.and(z))
    }
    #[inline(always)]
    fn add_h_even(self, x: Self, y: Self, z: Self) -> Self {
        self.add(x.xor(y).xor(z))
    }
    #[inline(always)]
    fn add_h_odd(self, x: Self, y: Self, z: Self) -> Self {
        self.add(x.xor(y.xor(z)))
    }
    #[inline(always)]
    fn add_i(self, x: Self, y: Self, z: Self) -> Self {
        // y ^ (x | !z) = !(y ^ (z & !x)). Adding !t subtracts t + 1; subtracting t adds 1 too much:
        // I_BIAS.
        Self(intrinsic!(_mm256_sub_epi32(self.0, y.xor(z.without(x)).0)))
    }
    #[inline(always)]
    fn zeros(self, bits: Self) -> __m256i {
        intrinsic!(_mm256_cmpeq_epi32(self.and(bits).0, _mm256_setzero_si256()))
    }
    #[inline(always)]
    fn either(a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn any(mask: __m256i) -> bool {
        intrinsic!(_mm256_testz_si256(mask, mask)) == 0
    }
    #[inline(always)]
    fn zero_lanes(self, bits: Self) -> u128 {
        let zeros = self.zeros(bits);
        intrinsic!(_mm256_movemask_ps(_mm256_castsi256_ps(zeros))) as u8 as u128
    }
}
