//! The processor's cache.

use std::ops::Range;

/// Bytes that are fetched together.
const LINE: usize = 64;

/// Has the processor fetch memory that is going to be written to, and goes on meanwhile. These are addresses: whatever is there by
/// now, nothing else happens.
#[inline(always)]
pub fn fetch(memory: Range<usize>) {
    let lines = (memory.start & !(LINE - 1)..memory.end).step_by(LINE);
    lines.for_each(fetch_line);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch_line(address: usize) {
    // SAFETY: a hint, which faults at no address and changes neither memory nor flags; processors without it take it for nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn fetch_line(address: usize) {
    // SAFETY: a hint, which faults at no address and changes neither memory nor flags.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn fetch_line(_: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_will_do() {
        let here = [0_u8; 300];
        let start = here.as_ptr().addr();
        for memory in [0..0, 0..1, start..start + 300, usize::MAX - 63..usize::MAX] {
            fetch(memory);
        }
    }
}
