use std::sync::{Mutex, MutexGuard, PoisonError};

use super::compressor::Deflater;
use super::decompressor::Inflater;
use super::{CompressionLevel, WindowBits};

/// Compressors and decompressors that no message is using, for connections without context
/// takeover.
///
/// One pool serves any number of connections and threads. A connection takes a codec when a message
/// begins, and gives it back, reset, when the message has ended. What is given back beyond the
/// capacity takes the place of the oldest one.
#[derive(Debug)]
pub struct CodecPool {
    capacity: usize,
    deflaters: Mutex<Vec<Deflater>>,
    inflaters: Mutex<Vec<Inflater>>,
}

impl CodecPool {
    /// An empty pool that keeps up to `capacity` compressors and as many decompressors: as many
    /// as there are threads is enough, since a sent message is compressed at once and most received
    /// ones arrive at once.
    pub const fn new(capacity: usize) -> CodecPool {
        CodecPool {
            capacity,
            deflaters: Mutex::new(Vec::new()),
            inflaters: Mutex::new(Vec::new()),
        }
    }

    /// How many compressors and decompressors lie idle: for tests.
    #[doc(hidden)]
    pub fn idle(&self) -> (usize, usize) {
        (lock(&self.deflaters).len(), lock(&self.inflaters).len())
    }

    pub(super) fn take_deflater(&self, level: CompressionLevel, bits: WindowBits) -> Deflater {
        let mut idle = lock(&self.deflaters);
        let place = idle.iter().rposition(|one| one.is_for(level, bits));
        let found = place.map(|place| idle.remove(place));
        drop(idle);
        found.unwrap_or_else(|| Deflater::new(level, bits))
    }

    pub(super) fn give_deflater(&self, mut deflater: Deflater) {
        deflater.reset();
        give(&self.deflaters, deflater, self.capacity);
    }

    /// Appends the compressed form of a message that refers to nothing before it. False, with nothing appended,
    /// when the compressor has failed, which does not happen.
    pub(crate) fn deflate_alone(
        &self,
        level: CompressionLevel,
        bits: WindowBits,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let mut deflater = self.take_deflater(level, bits);
        let is_done = deflater.deflate(payload, out).is_ok();
        if is_done {
            self.give_deflater(deflater);
        } else {
            out.truncate(start);
        }
        is_done
    }

    pub(super) fn take_inflater(&self) -> Inflater {
        let found = lock(&self.inflaters).pop();
        found.unwrap_or_else(Inflater::new)
    }

    pub(super) fn give_inflater(&self, mut inflater: Inflater) {
        inflater.reset();
        give(&self.inflaters, inflater, self.capacity);
    }
}

/// Puts a codec back; the one that is too many is freed after the lock.
fn give<T>(idle: &Mutex<Vec<T>>, codec: T, capacity: usize) {
    let mut idle = lock(idle);
    idle.push(codec);
    let surplus = (idle.len() > capacity).then(|| idle.remove(0));
    drop(idle);
    drop(surplus);
}

/// A thread that panicked has left whole codecs behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_as_many_codecs_as_it_has_room_for() {
        let pool = CodecPool::new(2);
        let (level, bits) = (CompressionLevel::DEFAULT, WindowBits::MAX);
        let deflaters = [(); 3].map(|()| pool.take_deflater(level, bits));
        let inflaters = [(); 3].map(|()| pool.take_inflater());
        for (deflater, inflater) in deflaters.into_iter().zip(inflaters) {
            pool.give_deflater(deflater);
            pool.give_inflater(inflater);
        }
        assert_eq!(pool.idle(), (2, 2));
        drop((pool.take_deflater(level, bits), pool.take_inflater()));
        assert_eq!(pool.idle(), (1, 1));
    }

    #[test]
    fn a_compressor_serves_only_its_level_and_window() {
        let pool = CodecPool::new(1);
        let (level, bits) = (CompressionLevel::DEFAULT, WindowBits::MAX);
        pool.give_deflater(Deflater::new(level, bits));
        drop(pool.take_deflater(CompressionLevel::FASTEST, bits));
        drop(pool.take_deflater(level, WindowBits::MIN));
        assert_eq!(pool.idle().0, 1);
        // The oldest one makes room.
        pool.give_deflater(Deflater::new(level, WindowBits::MIN));
        drop(pool.take_deflater(level, WindowBits::MIN));
        assert_eq!(pool.idle().0, 0);
    }

    #[test]
    fn a_pool_is_shared_by_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<CodecPool>();
    }
}
