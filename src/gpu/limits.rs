//! Limits of the shader and of the host that drives it.

/// Smallest usable limit on invocations per workgroup: the kernel needs a workgroup of 64.
pub(super) const LEAST_INVOCATIONS: u32 = 64;

/// Members of the largest family: rows in the shader's table.
pub(super) const MOST_MEMBERS: usize = 256;

/// Base words of a plan: entries in the shader's params.
pub(super) const MOST_BASE_WORDS: usize = 3;

/// Bases of one dispatch: the kernel numbers its invocations in 32 bits.
pub(super) const MOST_BASES: u64 = 1 << 31;

/// Slices of one submission, so that small segments can share one.
pub(super) const MOST_SLICES: usize = 16;

/// Submissions in flight: while one runs, the next one waits.
pub(super) const DEPTH: usize = 2;

/// Candidates that the list of one submission holds.
pub(super) const CAPACITY: u32 = 1 << 14;

/// Workgroups in one dimension that every device allows.
pub(super) const MOST_IN_A_ROW: u64 = 65_535;

/// Consecutive failures after which the host gives a device up.
pub(super) const MOST_FAILURES: u32 = 3;
