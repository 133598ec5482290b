//! The AVX-512 level: sixteen lanes; a three-input boolean and a rotate are one instruction each.

use super::lanes::Lanes;
use std::arch::x86_64::*;

/// Proves that AVX-512F was detected.
#[derive(Clone, Copy)]
pub(super) struct Token(());

impl Token {
    /// Returns the proof if this machine has AVX-512F.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

/// Sixteen words. Made only from a [`Token`] or from other values.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

/// Calls an intrinsic that needs only AVX-512F.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: a value of this type, or a token, exists only where AVX-512F was detected.
        unsafe { $call }
    };
}

/// Truth tables of the round functions, for inputs in the order x, y, z.
const F: i32 = 0xca;
const G: i32 = 0xe4;
const H: i32 = 0x96;
const I: i32 = 0x39;

impl Lanes for Avx512 {
    type Token = Token;
    type Mask = __mmask16;
    const COUNT: usize = 16;

    #[inline(always)]
    fn splat(_: Token, value: u32) -> Self {
        Self(intrinsic!(_mm512_set1_epi32(value as i32)))
    }
    #[inline(always)]
    fn iota(_: Token) -> Self {
        Self(intrinsic!(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_add_epi32(self.0, other.0)))
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_and_si512(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_or_si512(self.0, other.0)))
    }
    #[inline(always)]
    fn shl(self, count: u32) -> Self {
        Self(intrinsic!(_mm512_sll_epi32(self.0, _mm_cvtsi32_si128(count as i32))))
    }
    #[inline(always)]
    fn shr(self, count: u32) -> Self {
        Self(intrinsic!(_mm512_srl_epi32(self.0, _mm_cvtsi32_si128(count as i32))))
    }
    #[inline(always)]
    fn rotl<const N: i32>(self) -> Self {
        Self(intrinsic!(_mm512_rol_epi32::<N>(self.0)))
    }
    #[inline(always)]
    fn add_f(self, x: Self, y: Self, z: Self) -> Self {
        self.add(Self(intrinsic!(_mm512_ternarylogic_epi32::<F>(x.0, y.0, z.0))))
    }
    #[inline(always)]
    fn add_g(self, x: Self, y: Self, z: Self) -> Self {
        self.add(Self(intrinsic!(_mm512_ternarylogic_epi32::<G>(x.0, y.0, z.0))))
    }
    #[inline(always)]
    fn add_h_even(self, x: Self, y: Self, z: Self) -> Self {
        self.add(Self(intrinsic!(_mm512_ternarylogic_epi32::<H>(x.0, y.0, z.0))))
    }
    #[inline(always)]
    fn add_h_odd(self, x: Self, y: Self, z: Self) -> Self {
        self.add_h_even(x, y, z)
    }
    #[inline(always)]
    fn add_i(self, x: Self, y: Self, z: Self) -> Self {
        self.add(Self(intrinsic!(_mm512_ternarylogic_epi32::<I>(x.0, y.0, z.0))))
    }
    #[inline(always)]
    fn zeros(self, bits: Self) -> __mmask16 {
        intrinsic!(_mm512_testn_epi32_mask(self.0, bits.0))
    }
    #[inline(always)]
    fn either(a: __mmask16, b: __mmask16) -> __mmask16 {
        a | b
    }
    #[inline(always)]
    fn any(mask: __mmask16) -> bool {
        mask != 0
    }
    #[inline(always)]
    fn zero_lanes(self, bits: Self) -> u128 {
        u128::from(self.zeros(bits))
    }
}
