//! The scalar level: one candidate at a time, on every processor.

use super::lanes::Lanes;

impl Lanes for u32 {
    type Token = ();
    type Mask = bool;
    const COUNT: usize = 1;

    #[inline(always)]
    fn splat((): (), value: u32) -> Self {
        value
    }
    #[inline(always)]
    fn iota((): ()) -> Self {
        0
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn shl(self, count: u32) -> Self {
        self.checked_shl(count).unwrap_or(0)
    }
    #[inline(always)]
    fn shr(self, count: u32) -> Self {
        self.checked_shr(count).unwrap_or(0)
    }
    #[inline(always)]
    fn rotl<const N: i32>(self) -> Self {
        self.rotate_left(N as u32)
    }
    #[inline(always)]
    fn add_f(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(z ^ (x & (y ^ z)))
    }
    #[inline(always)]
    fn add_g(self, x: Self, y: Self, z: Self) -> Self {
        // The two halves share no bit, so their sum is their union. The first does not wait for x.
        self.wrapping_add(y & !z).wrapping_add(x & z)
    }
    #[inline(always)]
    fn add_h_even(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add((x ^ y) ^ z)
    }
    #[inline(always)]
    fn add_h_odd(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(x ^ (y ^ z))
    }
    #[inline(always)]
    fn add_i(self, x: Self, y: Self, z: Self) -> Self {
        self.wrapping_add(y ^ (x | !z))
    }
    #[inline(always)]
    fn zeros(self, bits: Self) -> bool {
        self & bits == 0
    }
    #[inline(always)]
    fn either(a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn any(mask: bool) -> bool {
        mask
    }
    #[inline(always)]
    fn zero_lanes(self, bits: Self) -> u128 {
        u128::from(self & bits == 0)
    }
}
