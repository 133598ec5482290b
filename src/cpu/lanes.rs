//! Lanes: the vector of words that the kernel is written in. A method is one machine instruction
//! where the level has it.
//!
//! Everything is `#[inline(always)]`, so that all of it ends up inside the one function per level
//! that carries `#[target_feature]`; a method left as a call would pass vectors through memory.

/// A vector of `u32`, one candidate's word in each lane.
///
/// A value needs a `Token`, which exists only where the level was detected. This makes the methods
/// safe to call.
pub(super) trait Lanes: Copy {
    /// Proof that this machine has the level.
    type Token: Copy;
    /// Result of a comparison.
    type Mask: Copy;
    /// Number of lanes.
    const COUNT: usize;
    /// Excess that `add_i` adds; the constants of steps 48 to 63 are smaller by it.
    const I_BIAS: u32 = 0;

    /// Puts `value` in every lane.
    fn splat(token: Self::Token, value: u32) -> Self;
    /// Numbers the lanes 0, 1, 2, and so on.
    fn iota(token: Self::Token) -> Self;
    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// Shifts every lane by `count`; 32 or more gives 0.
    fn shl(self, count: u32) -> Self;
    fn shr(self, count: u32) -> Self;
    fn rotl<const N: i32>(self) -> Self;

    /// `self + (x & y | !x & z)`
    fn add_f(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x & z | y & !z)`
    fn add_g(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x ^ y ^ z)` in an even step: the next step uses `x ^ y` again.
    fn add_h_even(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x ^ y ^ z)` in an odd step: the last step computed `y ^ z`.
    fn add_h_odd(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (y ^ (x | !z)) + I_BIAS`
    fn add_i(self, x: Self, y: Self, z: Self) -> Self;

    /// Marks the lanes where `self & bits` is zero.
    fn zeros(self, bits: Self) -> Self::Mask;
    /// Marks the lanes that `a` or `b` marks.
    fn either(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Returns true if any lane is marked.
    fn any(mask: Self::Mask) -> bool;
    /// Returns a bit for each lane, lowest first: 1 where `self & bits` is zero. Slower than `zeros`.
    fn zero_lanes(self, bits: Self) -> u128;
}

/// `K` vectors side by side: while one waits for a result, others use the execution ports.
#[derive(Clone, Copy)]
pub(super) struct Interleave<L, const K: usize>([L; K]);

/// Defines methods that apply to each vector. A plain loop, because LLVM keeps some of the vectors in
/// memory with `map` or `from_fn`.
macro_rules! each {
    ($($name:ident($($other:ident),*);)*) => {$(
        #[inline(always)]
        fn $name(self, $($other: Self),*) -> Self {
            let mut all = self.0;
            let mut n = 0;
            while n < K {
                all[n] = all[n].$name($($other.0[n]),*);
                n += 1;
            }
            Self(all)
        }
    )*};
}

impl<L: Lanes, const K: usize> Lanes for Interleave<L, K> {
    type Token = L::Token;
    type Mask = L::Mask;
    const COUNT: usize = K * L::COUNT;
    const I_BIAS: u32 = L::I_BIAS;

    #[inline(always)]
    fn splat(token: L::Token, value: u32) -> Self {
        Self([L::splat(token, value); K])
    }

    #[inline(always)]
    fn iota(token: L::Token) -> Self {
        let mut all = [L::iota(token); K];
        let mut n = 0;
        while n < K {
            all[n] = all[n].add(L::splat(token, (n * L::COUNT) as u32));
            n += 1;
        }
        Self(all)
    }

    each! {
        add(other);
        and(other);
        or(other);
        add_f(x, y, z);
        add_g(x, y, z);
        add_h_even(x, y, z);
        add_h_odd(x, y, z);
        add_i(x, y, z);
    }

    #[inline(always)]
    fn shl(self, count: u32) -> Self {
        let mut all = self.0;
        let mut n = 0;
        while n < K {
            all[n] = all[n].shl(count);
            n += 1;
        }
        Self(all)
    }

    #[inline(always)]
    fn shr(self, count: u32) -> Self {
        let mut all = self.0;
        let mut n = 0;
        while n < K {
            all[n] = all[n].shr(count);
            n += 1;
        }
        Self(all)
    }

    #[inline(always)]
    fn rotl<const N: i32>(self) -> Self {
        let mut all = self.0;
        let mut n = 0;
        while n < K {
            all[n] = all[n].rotl::<N>();
            n += 1;
        }
        Self(all)
    }

    #[inline(always)]
    fn zeros(self, bits: Self) -> L::Mask {
        let mut mask = self.0[0].zeros(bits.0[0]);
        let mut n = 1;
        while n < K {
            mask = L::either(mask, self.0[n].zeros(bits.0[n]));
            n += 1;
        }
        mask
    }

    #[inline(always)]
    fn either(a: L::Mask, b: L::Mask) -> L::Mask {
        L::either(a, b)
    }

    #[inline(always)]
    fn any(mask: L::Mask) -> bool {
        L::any(mask)
    }

    #[inline(always)]
    fn zero_lanes(self, bits: Self) -> u128 {
        let mut lanes = 0;
        let mut n = 0;
        while n < K {
            lanes |= self.0[n].zero_lanes(bits.0[n]) << (n * L::COUNT);
            n += 1;
        }
        lanes
    }
}
