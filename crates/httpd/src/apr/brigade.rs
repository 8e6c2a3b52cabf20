//! Bucket brigades: what travels through httpd's filters.

use std::ffi::c_char;
use std::ptr::NonNull;

use httpd_sys as sys;
use sys::port;

use super::Status;

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

    /// The raw brigade.
    pub fn as_raw(&self) -> *mut sys::apr_bucket_brigade {
        self.raw.as_ptr()
    }

    /// Copies data buckets into `buffer`, in order, up to its length; says how many bytes.
    pub fn flatten(&mut self, buffer: &mut [u8]) -> Result<usize, Status> {
        let mut length = buffer.len();
        // SAFETY: the brigade is live; apr_brigade_flatten writes at most `length` bytes.
        let status = unsafe {
            sys::apr_brigade_flatten(
                self.as_raw(),
                buffer.as_mut_ptr().cast::<c_char>(),
                &mut length,
            )
        };
        Status(status).ok()?;
        Ok(length)
    }

    /// Whether an EOS bucket is in it.
    pub fn has_eos(&self) -> bool {
        // SAFETY: the brigade is live, and its ring is walked up to its sentinel.
        unsafe {
            let sentinel = port::brigade_sentinel(self.as_raw());
            let mut bucket = port::brigade_first(self.as_raw());
            while bucket != sentinel {
                if port::bucket_is_eos(bucket) {
                    return true;
                }
                bucket = port::bucket_next(bucket);
            }
        }
        false
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
        // SAFETY: the bucket is allocated from the brigade's own allocator and initialised whole before it is
        // linked; apr_bucket_free gives it back there.
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
            port::brigade_insert_tail(self.as_raw(), bucket);
        }
    }

    /// Deletes what is in it.
    pub fn clear(&mut self) {
        // SAFETY: the brigade is live.
        unsafe { sys::apr_brigade_cleanup(self.as_raw().cast()) };
    }
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
