//! httpd and APR macros that bindgen cannot see, ported by hand, each below its `#define`.

use std::ffi::{c_char, c_int};
use std::ptr;

use crate::{
    APLOG_LEVELMASK, APLOG_NOTICE, APR_ENOTIMPL, ap_bucket_type_error, apr_bucket,
    apr_bucket_brigade, apr_bucket_type_eos, apr_bucket_type_flush,
    apr_bucket_type_t_APR_BUCKET_METADATA, apr_read_type_e, apr_status_t,
};

/// `#define HTTP_VERSION(major,minor) (1000*(major)+(minor))` (`httpd.h`)
pub const fn http_version(major: c_int, minor: c_int) -> c_int {
    1000 * major + minor
}

/// `#define APR_BRIGADE_SENTINEL(b) APR_RING_SENTINEL(&(b)->list, apr_bucket, link)` (`apr_buckets.h`)
///
/// The ring's sentinel is the address at which a bucket would lie whose `link` were the list head.
///
/// # Safety
/// `brigade` points to a live brigade.
pub unsafe fn brigade_sentinel(brigade: *mut apr_bucket_brigade) -> *mut apr_bucket {
    const LINK: usize = std::mem::offset_of!(apr_bucket, link);
    // SAFETY: the caller's promise; the address is only compared, never read through as a bucket.
    let list = unsafe { ptr::addr_of_mut!((*brigade).list) };
    list.cast::<u8>().wrapping_sub(LINK).cast()
}

/// `#define APR_BRIGADE_FIRST(b) APR_RING_FIRST(&(b)->list)` (`apr_buckets.h`)
///
/// # Safety
/// `brigade` points to a live brigade.
pub unsafe fn brigade_first(brigade: *mut apr_bucket_brigade) -> *mut apr_bucket {
    // SAFETY: the caller's promise.
    unsafe { (*brigade).list.next }
}

/// `#define APR_BUCKET_NEXT(e) APR_RING_NEXT((e), link)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is linked into a live brigade.
pub unsafe fn bucket_next(bucket: *mut apr_bucket) -> *mut apr_bucket {
    // SAFETY: the caller's promise.
    unsafe { (*bucket).link.next }
}

/// `#define APR_BRIGADE_INSERT_TAIL(b, e)` (`apr_buckets.h`)
///
/// # Safety
/// `brigade` is live; `bucket` is live and in no brigade.
pub unsafe fn brigade_insert_tail(brigade: *mut apr_bucket_brigade, bucket: *mut apr_bucket) {
    // SAFETY: the caller's promise; `list.prev` is the last bucket, or the sentinel, whose `link` is the list head
    // itself, so that writing through it is writing the head.
    unsafe {
        let sentinel = brigade_sentinel(brigade);
        let last = (*brigade).list.prev;
        (*bucket).link.prev = last;
        (*bucket).link.next = sentinel;
        if last == sentinel {
            (*brigade).list.next = bucket;
        } else {
            (*last).link.next = bucket;
        }
        (*brigade).list.prev = bucket;
    }
}

/// `#define APR_BUCKET_INSERT_BEFORE(a, b)` (`apr_buckets.h`), for one bucket
///
/// # Safety
/// `bucket` is linked into a live brigade; `new` is live and in no brigade.
pub unsafe fn bucket_insert_before(bucket: *mut apr_bucket, new: *mut apr_bucket) {
    // SAFETY: the caller's promise; a neighbour may be the sentinel, whose `link` is the list head itself.
    unsafe {
        let before = (*bucket).link.prev;
        (*new).link.prev = before;
        (*new).link.next = bucket;
        *ptr::addr_of_mut!((*before).link.next) = new;
        (*bucket).link.prev = new;
    }
}

/// `#define APR_BUCKET_REMOVE(e)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is linked into a live brigade, and in none from here on.
pub unsafe fn bucket_remove(bucket: *mut apr_bucket) {
    // SAFETY: the caller's promise; as in `bucket_insert_before`.
    unsafe {
        let (before, after) = ((*bucket).link.prev, (*bucket).link.next);
        *ptr::addr_of_mut!((*before).link.next) = after;
        *ptr::addr_of_mut!((*after).link.prev) = before;
    }
}

/// `#define apr_bucket_split(e,point)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is linked into a live brigade, and longer than `point`.
pub unsafe fn bucket_split(bucket: *mut apr_bucket, point: usize) -> apr_status_t {
    // SAFETY: the caller's promise.
    unsafe {
        match (*(*bucket).type_).split {
            Some(split) => split(bucket, point),
            None => APR_ENOTIMPL as apr_status_t,
        }
    }
}

/// `#define apr_bucket_delete(e)` (`apr_buckets.h`): takes it out of its brigade and destroys it
///
/// # Safety
/// `bucket` is linked into a live brigade; nobody uses it any more.
pub unsafe fn bucket_delete(bucket: *mut apr_bucket) {
    // SAFETY: the caller's promise. A bucket's type has a destroy function, and a bucket one that frees it.
    unsafe {
        bucket_remove(bucket);
        if let Some(destroy) = (*(*bucket).type_).destroy {
            destroy((*bucket).data);
        }
        if let Some(free) = (*bucket).free {
            free(bucket.cast());
        }
    }
}

/// `#define apr_bucket_read(e,str,len,block)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is linked into a live brigade. What is read stays until the bucket goes, or is read again.
pub unsafe fn bucket_read(
    bucket: *mut apr_bucket,
    block: apr_read_type_e,
) -> Result<(*const c_char, usize), apr_status_t> {
    let mut data = ptr::null();
    let mut length = 0;
    // SAFETY: the caller's promise; both places are this function's.
    let status = unsafe {
        match (*(*bucket).type_).read {
            Some(read) => read(bucket, &mut data, &mut length, block),
            None => APR_ENOTIMPL as apr_status_t,
        }
    };
    match status {
        0 => Ok((data, length)),
        status => Err(status),
    }
}

/// `#define APR_BUCKET_IS_METADATA(e) ((e)->type->is_metadata)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is live.
pub unsafe fn bucket_is_metadata(bucket: *const apr_bucket) -> bool {
    // SAFETY: the caller's promise; a bucket's type is static.
    unsafe { (*(*bucket).type_).is_metadata == apr_bucket_type_t_APR_BUCKET_METADATA }
}

/// `#define APR_BUCKET_IS_EOS(e) ((e)->type == &apr_bucket_type_eos)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is live.
pub unsafe fn bucket_is_eos(bucket: *const apr_bucket) -> bool {
    // SAFETY: the caller's promise; only the static's address is taken.
    unsafe { ptr::eq((*bucket).type_, &raw const apr_bucket_type_eos) }
}

/// `#define APR_BUCKET_IS_FLUSH(e) ((e)->type == &apr_bucket_type_flush)` (`apr_buckets.h`)
///
/// # Safety
/// `bucket` is live.
pub unsafe fn bucket_is_flush(bucket: *const apr_bucket) -> bool {
    // SAFETY: as in `bucket_is_eos`.
    unsafe { ptr::eq((*bucket).type_, &raw const apr_bucket_type_flush) }
}

/// `#define AP_BUCKET_IS_ERROR(e) (e->type == &ap_bucket_type_error)` (`http_protocol.h`)
///
/// # Safety
/// `bucket` is live.
pub unsafe fn bucket_is_error(bucket: *const apr_bucket) -> bool {
    // SAFETY: as in `bucket_is_eos`.
    unsafe { ptr::eq((*bucket).type_, &raw const ap_bucket_type_error) }
}

/// The level test that begins each of `APLOG_MODULE_IS_LEVEL` and its kin (`http_log.h`): levels up to notice
/// are logged whatever LogLevel says.
pub const fn level_is_always_logged(level: c_int) -> bool {
    level & (APLOG_LEVELMASK as c_int) <= APLOG_NOTICE as c_int
}
