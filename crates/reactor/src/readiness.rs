//! What a source is ready for.

use std::fmt;
use std::ops::BitOr;

use crate::sys;

/// A set of reasons for a call of [`Source::ready`](crate::Source::ready).
///
/// Readiness is a hint that trying again is worthwhile, never a promise: a call may find nothing to
/// read, and a reason may be reported twice.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Readiness(u8);

impl Readiness {
    /// No reason.
    pub const EMPTY: Self = Self(0);
    /// There may be input, or the end of it.
    pub const READABLE: Self = Self(1);
    /// There may be room for output.
    pub const WRITABLE: Self = Self(1 << 1);
    /// The peer will send nothing more, or the descriptor is closed in both directions. Input that
    /// came before may still be unread; `READABLE` is reported along with it.
    pub const HANGUP: Self = Self(1 << 2);
    /// The descriptor has an error pending; the next operation on it reports it. A TCP connection is broken then, in both
    /// directions (a reset, a timeout of the system's), which the end of the peer's own direction alone is not.
    pub const ERROR: Self = Self(1 << 3);
    /// [`Registration::notify`](crate::Registration::notify) was called. Never comes from the kernel.
    pub const NOTIFIED: Self = Self(1 << 4);

    /// The bits that an event from the kernel can carry.
    pub(crate) const KERNEL_MASK: u64 = 0xf;

    /// True if no reason is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if every reason of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if some reason of `other` is in this set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Input may be waiting: readable, hung up or in error, all of which a read reports.
    pub const fn is_readable(self) -> bool {
        self.intersects(Self(Self::READABLE.0 | Self::HANGUP.0 | Self::ERROR.0))
    }

    /// A write may get further.
    pub const fn is_writable(self) -> bool {
        self.intersects(Self(Self::WRITABLE.0 | Self::ERROR.0))
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    pub(crate) const fn from_epoll(events: i32) -> Self {
        let mut bits = 0;
        if events & (sys::EPOLLIN | sys::EPOLLPRI) != 0 {
            bits |= Self::READABLE.0;
        }
        if events & sys::EPOLLOUT != 0 {
            bits |= Self::WRITABLE.0;
        }
        if events & (sys::EPOLLRDHUP | sys::EPOLLHUP) != 0 {
            bits |= Self::READABLE.0 | Self::HANGUP.0;
        }
        if events & sys::EPOLLERR != 0 {
            bits |= Self::ERROR.0;
        }
        Self(bits)
    }
}

impl BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Readiness, &str); 5] = [
            (Readiness::READABLE, "READABLE"),
            (Readiness::WRITABLE, "WRITABLE"),
            (Readiness::HANGUP, "HANGUP"),
            (Readiness::ERROR, "ERROR"),
            (Readiness::NOTIFIED, "NOTIFIED"),
        ];
        if self.is_empty() {
            return f.write_str("EMPTY");
        }
        let mut separator = "";
        for (bit, name) in NAMES {
            if self.contains(bit) {
                write!(f, "{separator}{name}")?;
                separator = " | ";
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn epoll_bits_become_reasons() {
        let both = Readiness::from_epoll(sys::EPOLLIN | sys::EPOLLOUT);
        assert_eq!(both, Readiness::READABLE | Readiness::WRITABLE);
        let closed = Readiness::from_epoll(sys::EPOLLHUP | sys::EPOLLERR);
        assert!(closed.is_readable() && closed.is_writable());
        assert_eq!(format!("{closed:?}"), "READABLE | HANGUP | ERROR");
        assert_eq!(format!("{:?}", Readiness::EMPTY), "EMPTY");
    }

    #[test]
    fn kernel_bits_fit_their_mask() {
        let all = Readiness::from_epoll(!0);
        assert_eq!(u64::from(all.bits()), Readiness::KERNEL_MASK);
        assert_eq!(
            u64::from(Readiness::NOTIFIED.bits()) & Readiness::KERNEL_MASK,
            0
        );
    }
}
