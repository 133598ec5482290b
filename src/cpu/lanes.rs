//! Lanes: the vector of words that the kernel is written in, one machine instruction a method
//! where the level has it.
//!
//! Everything is `#[inline(always)]`, so that all of it ends up inside the one function per level
//! that carries `#[target_feature]`; a method that stayed a call would pass vectors through memory.

/// A vector of `u32`, one candidate's word in each lane.
///
/// Values exist only with a `Token`, which exists only where the level was detected; that is what
/// makes the methods safe to call.
pub(super) trait Lanes: Copy {
    /// Proof that this machine has the level.
    type Token: Copy;
    /// What a comparison gives.
    type Mask: Copy;
    /// Number of lanes.
    const COUNT: usize;
    /// Subtracted from the constants of steps 48 to 63, because `add_i` adds this much too much.
    const I_BIAS: u32 = 0;

    /// `value` in every lane.
    fn splat(token: Self::Token, value: u32) -> Self;
    /// 0, 1, 2, .. from lane to lane.
    fn iota(token: Self::Token) -> Self;
    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// Shifts by the same count in every lane; a count of 32 or more gives 0.
    fn shl(self, count: u32) -> Self;
    fn shr(self, count: u32) -> Self;
    fn rotl<const N: i32>(self) -> Self;

    /// `self + (x & y | !x & z)`
    fn add_f(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x & z | y & !z)`
    fn add_g(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x ^ y ^ z)`, of an even step: `x ^ y` is used again in the next.
    fn add_h_even(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (x ^ y ^ z)`, of an odd step: `y ^ z` was computed in the last.
    fn add_h_odd(self, x: Self, y: Self, z: Self) -> Self;
    /// `self + (y ^ (x | !z)) + I_BIAS`
    fn add_i(self, x: Self, y: Self, z: Self) -> Self;

    /// Where `self & bits` is zero.
    fn zeros(self, bits: Self) -> Self::Mask;
    /// Either.
    fn either(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Whether any lane is set.
    fn any(mask: Self::Mask) -> bool;
    /// Bit n for lane n, of `self & bits == 0`; not for the inner loop.
    fn zero_lanes(self, bits: Self) -> u128;
}

/// `K` vectors side by side: while one waits for a result, the others keep the ports busy.
#[derive(Clone, Copy)]
pub(super) struct Interleave<L, const K: usize>([L; K]);

/// One method for all vectors. Written as a loop over places: built with `map` or `from_fn`,
/// LLVM keeps some of the vectors in memory.
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
