//! All randomness of a simulation comes from its seed: nonces, claim ids, jitter, the order in which hash maps are
//! walked and in which the runtime looks at branches that are ready together.
//!
//! They all ask the C library's `getrandom`. This module defines it anew, and the linker prefers a program's own
//! definition. So nothing of what is simulated has to be changed or to be told. A thread without a seed still gets
//! the kernel's randomness.

use std::cell::RefCell;

use rand::{RngCore, SeedableRng, rngs::StdRng};

thread_local! {
    static SOURCE: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// From here on this thread's randomness follows from the seed.
///
/// Maps and generators made before keep what they have; the runtime also numbers its generators over the whole
/// process. So two runs are equal where each has a process of its own.
pub fn seed_this_thread(seed: u64) {
    SOURCE.with_borrow_mut(|source| *source = Some(StdRng::seed_from_u64(seed)));
}

/// Fills the buffer from the thread's seed; false where it has none.
fn fill(buffer: &mut [u8]) -> bool {
    // While the thread ends there is no source any more.
    let filled = SOURCE.try_with(|source| match source.try_borrow_mut() {
        Ok(mut source) => source.as_mut().map(|source| source.fill_bytes(buffer)).is_some(),
        Err(_) => false,
    });
    filled.unwrap_or(false)
}

/// What the C library gives: a number of bytes, or -1.
#[allow(unsafe_code, reason = "the symbol that everything random ends at; see the safety note")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: as in the C library, the caller gives a buffer of `length` bytes that it may write.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    if fill(buffer) {
        return isize::try_from(length).unwrap_or(-1);
    }
    // Asks the kernel, not the C library.
    match rustix::rand::getrandom(buffer, rustix::rand::GetRandomFlags::empty()) {
        Ok(count) => isize::try_from(count).unwrap_or(-1),
        Err(_) => -1,
    }
}
