//! Which of the objects that the process has loaded an address is in.

use std::ffi::c_void;

use httpd_sys as sys;

/// What the dynamic linker knows of the object.
pub(crate) fn info_of(address: *const c_void) -> Option<libc::Dl_info> {
    // SAFETY: dladdr takes any address, and fills the structure in when it returns something else than 0; it is made of
    // pointers, for which zero is a value.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        (libc::dladdr(address, &mut info) != 0 && !info.dli_fname.is_null()).then_some(info)
    }
}

/// Whether it is httpd's program itself, which keeps its statics when all modules are loaded anew.
pub(crate) fn is_in_program(address: *const c_void) -> bool {
    let base = |address| info_of(address).map(|info| info.dli_fbase);
    let program = base((&raw const sys::core_module).cast());
    program.is_some() && base(address) == program
}
