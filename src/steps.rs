//! MD5 as sixty-four steps on words (RFC 1321), for plans and tunnels.
//!
//! `Q[i] = Q[i-1] + rotl(f_i(Q[i-1], Q[i-2], Q[i-3]) + Q[i-4] + m[g(i)] + K[i], s(i))`.
//! These functions run once per segment or family, never per candidate. The kernels unroll the same
//! steps; the judge shares no code with either.

/// State before the first step, in the order `Q[-4], Q[-3], Q[-2], Q[-1]` (RFC 1321: A D C B).
pub const INITIAL: [u32; 4] = [0x6745_2301, 0x1032_5476, 0x98ba_dcfe, 0xefcd_ab89];

/// Additive constant of each step: `floor(2^32 * |sin(i + 1)|)`.
pub const K: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Last step that the filter needs: the first digest word is final after it.
pub const LAST_FILTER_STEP: usize = 60;

/// Returns the index of the message word that step `i` adds.
pub const fn word_of_step(i: usize) -> usize {
    match i / 16 {
        0 => i,
        1 => (5 * i + 1) % 16,
        2 => (3 * i + 5) % 16,
        _ => (7 * i) % 16,
    }
}

/// Returns the number of bits by which step `i` rotates.
pub const fn rotation(i: usize) -> u32 {
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]][i / 16][i % 4]
}

/// Computes the boolean function of step `i`.
pub const fn boolean(i: usize, x: u32, y: u32, z: u32) -> u32 {
    match i / 16 {
        0 => (x & y) | (!x & z),
        1 => (x & z) | (y & !z),
        2 => x ^ y ^ z,
        _ => y ^ (x | !z),
    }
}

/// Computes one step: the last four `Q`, oldest first, become the next four.
pub const fn step(i: usize, [q4, q3, q2, q1]: [u32; 4], word: u32) -> [u32; 4] {
    let sum = boolean(i, q1, q2, q3).wrapping_add(q4).wrapping_add(word).wrapping_add(K[i]);
    [q3, q2, q1, q1.wrapping_add(sum.rotate_left(rotation(i)))]
}

/// Returns the word with which step `i` turns the given state into one that ends in `wanted`.
pub const fn word_for(i: usize, [q4, q3, q2, q1]: [u32; 4], wanted: u32) -> u32 {
    wanted
        .wrapping_sub(q1)
        .rotate_right(rotation(i))
        .wrapping_sub(boolean(i, q1, q2, q3))
        .wrapping_sub(q4)
        .wrapping_sub(K[i])
}

/// Returns the mask of the bits of the first digest word that must be zero for `bits` leading zero
/// bits. A word holds at most 32 of them; the judge checks the rest.
pub const fn filter_mask(bits: u32) -> u32 {
    match bits {
        0 => 0,
        1..=31 => (!0u32 << (32 - bits)).swap_bytes(),
        _ => !0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::puzzle::Digest;

    #[test]
    fn sixty_four_steps_are_md5() {
        let mut block = [0u8; 64];
        block[..3].copy_from_slice(b"abc");
        block[3] = 0x80;
        block[56] = 24;
        let mut state = INITIAL;
        for i in 0..64 {
            let at = 4 * word_of_step(i);
            let word = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
            let next = step(i, state, word);
            assert_eq!(word_for(i, state, next[3]), word);
            state = next;
        }
        let sum = |i: usize| state[i].wrapping_add(INITIAL[i]).to_le_bytes();
        // A = Q60.., D = Q61.., C = Q62.., B = Q63..; the digest is A B C D.
        let digest = [sum(0), sum(3), sum(2), sum(1)].concat();
        assert_eq!(digest, Digest::of(b"abc").0);
    }

    #[test]
    fn constants_are_the_sines_of_the_rfc() {
        for (i, &k) in K.iter().enumerate() {
            assert_eq!(k, ((i as f64 + 1.0).sin().abs() * 2f64.powi(32)) as u32, "step {i}");
        }
    }

    #[test]
    fn the_mask_keeps_exactly_the_leading_bits() {
        assert_eq!([32, 33, 64, 128].map(filter_mask), [!0; 4], "one word holds no more");
        for bits in 0..=40 {
            let first = 1u128.checked_shl(128 - bits).map_or(u128::MAX, |bit| bit - 1);
            let easy = Digest(first.to_be_bytes()).0; // exactly `bits` zeros, then ones
            let word = u32::from_le_bytes([easy[0], easy[1], easy[2], easy[3]]);
            assert_eq!(word & filter_mask(bits), 0);
            if bits < 32 {
                assert_ne!(word & filter_mask(bits + 1), 0, "{bits}");
            }
        }
    }
}
