//! Memory that stays as long as the process, while the module itself is loaded anew with each configuration
//! (`ap_retained_data_create`, http_config.h).

use std::ffi::CStr;
use std::sync::atomic::AtomicU64;

use httpd_sys as sys;

/// The numbers that the process keeps under `key`, all 0 at first. One key always goes with one count.
///
/// For the thread that reads the configuration; in a child they are a copy.
pub fn numbers<const N: usize>(key: &'static CStr) -> &'static [AtomicU64; N] {
    // SAFETY: the key is static. What httpd makes is zeroed, aligned for every type, as large as asked for, and lives
    // as long as the process; any eight bytes are a number.
    unsafe {
        let mut data = sys::ap_retained_data_get(key.as_ptr());
        if data.is_null() {
            data = sys::ap_retained_data_create(key.as_ptr(), size_of::<[AtomicU64; N]>());
        }
        &*data.cast()
    }
}
