// The kernel: filters candidates on the first digest word. The cpu's kernel, cpu/md5.rs, has the
// same parts under the same names, in the same order.
//
// An invocation takes a base; the family is its inner loop. shader.rs assembles core WGSL from this
// text for the shape of a plan, and explains the lines that begin with # and the words that begin
// with $: `#if` keeps lines that a shape needs, and `#steps` unrolls a macro over MD5's steps, so
// that no array is indexed by a step and every Q has its own name.

// A prepared plan, and the slice of it that this dispatch searches. params.rs mirrors this struct,
// and a test compares the two.
struct Params {
    // Low part of the slice's first base, and the number of bases.
    first: u32,
    bases: u32,
    // Members from..to of each base.
    from_member: u32,
    to_member: u32,
    mask: u32,
    // Candidates that the list holds.
    capacity: u32,
    // Number of the slice, or'ed to each member in the list.
    tag: u32,
    // Number of later blocks.
    blocks: u32,
    // Addend of each step of the first block, the same for all bases.
    constants: array<vec4<u32>, 16>,
    // Right shift, left shift and mask of each word that holds digits of the base.
    base_words: array<vec4<u32>, 3>,
    // In a word family, one vector for each member with its word in x; in a tunnel, three with
    // constant + word for every step that adds a word of the member.
    rows: array<vec4<u32>, 768>,
}

// Candidates that passed: the true count, and as many as fit, each base (low part) and member.
struct Found {
    count: atomic<u32>,
    list: array<vec2<u32>>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> found: Found;
#if more
// Sixteen vectors a block: constant + word of each step.
@group(0) @binding(2) var<storage, read> later: array<vec4<u32>>;
#end

// Q[-4], Q[-3], Q[-2], Q[-1].
const INITIAL = vec4<u32>(0x67452301u, 0x10325476u, 0x98badcfeu, 0xefcdab89u);

// A step before the start.
#macro base_step
    let sum$i = $q4 + $addend + $boolean;
    let q$i = $q1 + ((sum$i << $leftu) | (sum$i >> $rightu));
#end

// The part of a member step that is the same for all members of a base.
#macro hoist
    let hoisted$i = $hoisted;
#end

#macro member_step
        let sum$i = $member_sum;
        let q$i = $q1 + ((sum$i << $leftu) | (sum$i >> $rightu));
#end

#macro later_step
        let sum$i = $q4 + later[16u * block + $vectoru].$lane + $boolean;
        let q$i = $q1 + ((sum$i << $leftu) | (sum$i >> $rightu));
#end

@compute @workgroup_size($workgroup)
fn search(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (workgroup.y * workgroups.x + workgroup.x) * $workgroupu + local;
    if (index >= params.bases) {
        return;
    }
    let low = params.first + index;
#base_words
    let bits$n = spell(low, params.base_words[$n]);
#end
#addends
    let addend$i = params.constants[$vector].$lane + bits$n;
#end

    // The steps before the start: once for the base.
    let qa = INITIAL.x;
    let qd = INITIAL.y;
    let qc = INITIAL.z;
    let qb = INITIAL.w;
#steps base_step 0..start
    // The first four member steps add a Q of the base: hoisted out of the member loop, as is all of
    // the first one but the member's word. For a tunnel the row holds the constant.
#steps hoist start..start+4

    for (var member = params.from_member; member < params.to_member; member++) {
#if tunnel
        let row0 = params.rows[3u * member];
        let row1 = params.rows[3u * member + 1u];
        let row2 = params.rows[3u * member + 2u];
#else
        let row0 = params.rows[member];
#end
#steps member_step start..61
#if more
#steps member_step 61..64
        let first_word = later_blocks(vec4<u32>(q60, q61, q62, q63));
#else
        let first_word = INITIAL.x + q60;
#end
        if ((first_word & params.mask) == 0u) {
            record(low, member);
        }
    }
}

#if more
// Returns the first digest word after all blocks, from the state after the first block's steps.
fn later_blocks(first_block: vec4<u32>) -> u32 {
    var state = INITIAL;
    var q = first_block;
    for (var block = 0u; block < params.blocks; block++) {
        state += q;
        let qa = state.x;
        let qd = state.y;
        let qc = state.z;
        let qb = state.w;
#steps later_step 0..61
        // After step 60 the newest Q belongs to the first word of the digest.
        q.x = q60;
        if (block + 1u < params.blocks) {
#steps later_step 61..64
            q = vec4<u32>(q60, q61, q62, q63);
        }
    }
    return state.x + q.x;
}
#end

// Spells the bits of a base word; the shader's form of BaseWord::value.
fn spell(low: u32, word: vec4<u32>) -> u32 {
    let field = (low >> word.x) << word.y;
#if text
    let pairs = ((field >> 8u) & 0xffu) | ((field << 16u) & 0x00ff0000u);
    let digits = ((pairs >> 4u) & 0x000f000fu) | ((pairs << 8u) & 0x0f000f00u);
    // 1 in every byte whose digit is above 9: letters lie 39 further on than digits.
    let letters = ((digits + 0x06060606u) >> 4u) & 0x01010101u;
    let spelled = digits + 0x30303030u + letters * 39u;
#else
    let outer = (field << 24u) | (field >> 24u);
    let inner = ((field << 8u) & 0x00ff0000u) | ((field >> 8u) & 0xff00u);
    let spelled = outer | inner;
#end
    return spelled & word.z;
}

// Counts a candidate, and appends it if there is room.
fn record(low: u32, member: u32) {
    let at = atomicAdd(&found.count, 1u);
    if (at < params.capacity) {
        found.list[at] = vec2<u32>(low, params.tag | member);
    }
}
