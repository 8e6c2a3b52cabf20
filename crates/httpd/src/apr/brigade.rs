//! Bucket brigades: what travels through httpd's filters.

use std::ffi::c_char;
use std::io::IoSlice;
use std::ptr::{self, NonNull};

use httpd_sys as sys;
use sys::port;

use super::Status;

/// The length of a bucket that does not know it (`apr_buckets.h`).
const UNKNOWN_LENGTH: usize = usize::MAX;

/// What [`Brigade::take`] has found.
#[derive(Clone, Copy)]
pub struct Taken {
    /// So many bytes are in the buffer.
    pub count: usize,
    /// There was no bucket at all, not even one without data.
    pub is_empty: bool,
    /// What came behind the data: [`Status::EOF`] for the end, or an error.
    pub end: Option<Status>,
}

/// An empty brigade that a connection keeps for its own use, from one pass through the filters to the next.
///
/// Belongs to the thread that holds the connection.
pub struct Brigade {
    raw: NonNull<sys::apr_bucket_brigade>,
}

impl Brigade {
    /// Makes an empty brigade.
    ///
    /// # Safety
    /// `pool` and `bucket_alloc` are live and outlive the brigade.
    pub unsafe fn new(
        pool: *mut sys::apr_pool_t,
        bucket_alloc: *mut sys::apr_bucket_alloc_t,
    ) -> Self {
        // SAFETY: the caller's promise; APR aborts rather than return NULL.
        unsafe {
            Brigade {
                raw: NonNull::new_unchecked(sys::apr_brigade_create(pool, bucket_alloc)),
            }
        }
    }

    /// A brigade that another filter has passed.
    ///
    /// # Safety
    /// `raw` is live, and this thread's for as long as the value is used.
    pub(crate) unsafe fn from_raw(raw: *mut sys::apr_bucket_brigade) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Brigade {
                raw: NonNull::new_unchecked(raw),
            }
        }
    }

    /// The raw brigade.
    pub fn as_raw(&self) -> *mut sys::apr_bucket_brigade {
        self.raw.as_ptr()
    }

    /// Takes everything out of the brigade: data into `buffer`, what does not fit there into `surplus`, up to an end.
    /// Never blocks.
    pub fn take(&mut self, buffer: &mut [u8], surplus: &mut Vec<u8>) -> Taken {
        let mut taken = Taken {
            count: 0,
            is_empty: true,
            end: None,
        };
        // SAFETY: the brigade is live, and its ring is walked up to its sentinel; the bytes of a bucket are copied
        // before it is read again.
        unsafe {
            let sentinel = port::brigade_sentinel(self.as_raw());
            let mut bucket = port::brigade_first(self.as_raw());
            while bucket != sentinel && taken.end.is_none() {
                taken.is_empty = false;
                if port::bucket_is_eos(bucket) {
                    taken.end = Some(Status::EOF);
                } else if port::bucket_is_error(bucket) {
                    let error = (*bucket).data.cast::<sys::ap_bucket_error>();
                    taken.end = Some(Status::of_error_bucket((*error).status));
                } else if !port::bucket_is_metadata(bucket) {
                    match port::bucket_read(bucket, sys::apr_read_type_e_APR_NONBLOCK_READ) {
                        Ok((_, 0)) => {}
                        Ok((data, length)) => {
                            let data = std::slice::from_raw_parts(data.cast::<u8>(), length);
                            let fits = length.min(buffer.len() - taken.count);
                            buffer[taken.count..][..fits].copy_from_slice(&data[..fits]);
                            surplus.extend_from_slice(&data[fits..]);
                            taken.count += fits;
                        }
                        Err(status) => taken.end = Some(Status(status)),
                    }
                }
                bucket = port::bucket_next(bucket);
            }
        }
        self.clear();
        taken
    }

    /// Appends a bucket that refers to `bytes`, which must stay as they are until the brigade is clean again;
    /// a filter that keeps them longer copies them (`apr_bucket_transient_create`).
    ///
    /// # Safety
    /// `bytes` outlive the brigade's next pass through the filters.
    pub unsafe fn append_transient(&mut self, bytes: &[u8]) {
        // SAFETY: the brigade is live, the bucket new and in no brigade; the bytes are the caller's promise.
        unsafe {
            let bucket = sys::apr_bucket_transient_create(
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
                (*self.as_raw()).bucket_alloc,
            );
            port::brigade_insert_tail(self.as_raw(), bucket);
        }
    }

    /// Appends an empty metadata bucket that means nothing to any filter.
    ///
    /// mod_ssl's coalescing filter keeps back a small brigade that ends in data until something follows it;
    /// this is what follows it, without a FLUSH bucket's demand to block.
    pub fn append_boundary(&mut self) {
        // SAFETY: the brigade is live, the bucket new and in no brigade.
        unsafe { port::brigade_insert_tail(self.as_raw(), self.boundary()) };
    }

    /// Appends a FLUSH bucket: every filter passes on what it holds. The core output filter would block for it.
    pub fn append_flush(&mut self) {
        // SAFETY: the brigade is live, the bucket new and in no brigade.
        unsafe {
            let bucket = sys::apr_bucket_flush_create((*self.as_raw()).bucket_alloc);
            port::brigade_insert_tail(self.as_raw(), bucket);
        }
    }

    /// Makes a boundary of each FLUSH bucket. Says whether what is then there can be written without waiting: a
    /// bucket of unknown length cannot, whose bytes are yet to be read from somewhere.
    pub fn defuse(&mut self) -> bool {
        // SAFETY: the brigade is live, and its ring is walked up to its sentinel; a bucket is left before it goes.
        unsafe {
            let sentinel = port::brigade_sentinel(self.as_raw());
            let mut bucket = port::brigade_first(self.as_raw());
            while bucket != sentinel {
                let next = port::bucket_next(bucket);
                if port::bucket_is_flush(bucket) {
                    port::bucket_insert_before(bucket, self.boundary());
                    port::bucket_delete(bucket);
                } else if (*bucket).length == UNKNOWN_LENGTH {
                    return false;
                }
                bucket = next;
            }
        }
        true
    }

    /// A bucket for [`Brigade::append_boundary`], in no brigade yet.
    fn boundary(&self) -> *mut sys::apr_bucket {
        // SAFETY: the bucket is allocated from the brigade's own allocator and initialised whole;
        // apr_bucket_free gives it back there.
        unsafe {
            let list = (*self.as_raw()).bucket_alloc;
            let bucket =
                sys::apr_bucket_alloc(size_of::<sys::apr_bucket>(), list).cast::<sys::apr_bucket>();
            bucket.write(sys::apr_bucket {
                link: sys::apr_bucket__bindgen_ty_1 {
                    next: bucket,
                    prev: bucket,
                },
                type_: &raw const BOUNDARY.0,
                length: 0,
                start: 0,
                data: std::ptr::null_mut(),
                free: Some(sys::apr_bucket_free),
                list,
            });
            bucket
        }
    }

    /// The stretches of bytes in it, in order, and how many they are; `None` when they are more than `stretches` takes, or
    /// something is there that is neither bytes in memory nor a mark that says nothing to a socket.
    pub(crate) fn stretches<'b>(&'b self, stretches: &mut [IoSlice<'b>]) -> Option<usize> {
        let mut count = 0;
        // SAFETY: the brigade is live, and its ring is walked up to its sentinel; what is in memory stays where it is, as
        // long as the brigade is not changed, which the borrow says.
        unsafe {
            let sentinel = port::brigade_sentinel(self.as_raw());
            let mut bucket = port::brigade_first(self.as_raw());
            while bucket != sentinel {
                if is_in_memory(bucket) {
                    let block = sys::apr_read_type_e_APR_NONBLOCK_READ;
                    let (data, length) = port::bucket_read(bucket, block).ok()?;
                    if length > 0 {
                        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length);
                        *stretches.get_mut(count)? = IoSlice::new(bytes);
                        count += 1;
                    }
                } else if !port::bucket_is_flush(bucket) && !is_boundary(bucket) {
                    return None;
                }
                bucket = port::bucket_next(bucket);
            }
        }
        Some(count)
    }

    /// Deletes the first so many bytes, and what lies between them.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.take_front(count, |bucket| {
            // SAFETY: linked into the live brigade, and used by nobody else.
            unsafe { port::bucket_delete(bucket) }
        });
    }

    /// Moves the first so many bytes to the end of another brigade of the same connection, or all when there are fewer.
    pub(crate) fn move_front(&mut self, count: usize, to: &mut Brigade) {
        self.take_front(count, |bucket| {
            // SAFETY: linked into the live brigade, then into none, then into the other.
            unsafe {
                port::bucket_remove(bucket);
                port::brigade_insert_tail(to.as_raw(), bucket);
            }
        });
    }

    /// Has `take` take each bucket of the first so many bytes out of the brigade.
    fn take_front(&mut self, mut count: usize, mut take: impl FnMut(*mut sys::apr_bucket)) {
        // SAFETY: the brigade is live, and each turn takes the first bucket of its ring out, or ends. Buckets in memory can be
        // split.
        unsafe {
            while count > 0 && !self.is_empty() {
                let bucket = port::brigade_first(self.as_raw());
                if (*bucket).length > count && port::bucket_split(bucket, count) != 0 {
                    return;
                }
                count -= (*bucket).length.min(count);
                take(bucket);
            }
        }
    }

    /// Copies what the buckets only refer to, so that it may change from now on. The copies are no memory of the connection's,
    /// which would keep it for a next time. What there is no memory for is gone, and false the answer.
    pub(crate) fn set_aside(&mut self) -> bool {
        // SAFETY: the brigade is live, and its ring is walked up to its sentinel. A transient bucket has its bytes in memory;
        // it becomes one that owns a copy, which `free` takes back.
        unsafe {
            let sentinel = port::brigade_sentinel(self.as_raw());
            let mut bucket = port::brigade_first(self.as_raw());
            while bucket != sentinel {
                if (*bucket).type_ == &raw const sys::apr_bucket_type_transient {
                    let length = (*bucket).length;
                    let block = sys::apr_read_type_e_APR_NONBLOCK_READ;
                    let copy = libc::malloc(length);
                    let (Ok((data, _)), false) = (port::bucket_read(bucket, block), copy.is_null())
                    else {
                        libc::free(copy);
                        self.clear();
                        return false;
                    };
                    ptr::copy_nonoverlapping(data.cast::<u8>(), copy.cast::<u8>(), length);
                    sys::apr_bucket_heap_make(bucket, copy.cast(), length, Some(libc::free));
                }
                bucket = port::bucket_next(bucket);
            }
        }
        true
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        // SAFETY: the brigade is live.
        unsafe { port::brigade_first(self.as_raw()) == port::brigade_sentinel(self.as_raw()) }
    }

    /// Deletes what is in it.
    pub fn clear(&mut self) {
        // SAFETY: the brigade is live.
        unsafe { sys::apr_brigade_cleanup(self.as_raw().cast()) };
    }
}

/// Whether a bucket's bytes are in memory: reading it does nothing, and never blocks.
///
/// # Safety
/// `bucket` is live.
unsafe fn is_in_memory(bucket: *const sys::apr_bucket) -> bool {
    let types = [
        &raw const sys::apr_bucket_type_transient,
        &raw const sys::apr_bucket_type_heap,
        &raw const sys::apr_bucket_type_pool,
        &raw const sys::apr_bucket_type_immortal,
    ];
    // SAFETY: the caller's promise; only the statics' addresses are taken.
    types.contains(unsafe { &(*bucket).type_ })
}

/// Whether it is one of [`Brigade::append_boundary`]'s.
///
/// # Safety
/// `bucket` is live.
unsafe fn is_boundary(bucket: *const sys::apr_bucket) -> bool {
    // SAFETY: the caller's promise.
    ptr::eq(unsafe { (*bucket).type_ }, &raw const BOUNDARY.0)
}

/// The type of [`Brigade::append_boundary`]'s bucket: like APR's own FLUSH and EOS buckets, but of no meaning.
static BOUNDARY: BucketType = BucketType(sys::apr_bucket_type_t {
    name: c"WEBSOCKET_BOUNDARY".as_ptr(),
    num_func: 5,
    is_metadata: sys::apr_bucket_type_t_APR_BUCKET_METADATA,
    destroy: Some(sys::apr_bucket_destroy_noop),
    read: Some(read_nothing),
    setaside: Some(sys::apr_bucket_setaside_noop),
    split: Some(sys::apr_bucket_split_notimpl),
    copy: Some(sys::apr_bucket_simple_copy),
});

struct BucketType(sys::apr_bucket_type_t);

// SAFETY: nobody writes a bucket type; it holds a static string and functions.
unsafe impl Sync for BucketType {}

unsafe extern "C" fn read_nothing(
    _bucket: *mut sys::apr_bucket,
    data: *mut *const c_char,
    length: *mut sys::apr_size_t,
    _block: sys::apr_read_type_e,
) -> sys::apr_status_t {
    // SAFETY: apr_bucket_read passes two valid places for its results.
    unsafe {
        *data = std::ptr::null();
        *length = 0;
    }
    0
}
