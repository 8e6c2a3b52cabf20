//! Shared objects that are mapped: the loader's functions, and what is known about an address.

use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

/// How a plugin's symbols are bound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// To its own first, then to those of the libraries that it needs, then to those of the process.
    OwnFirst,
    /// To those of the process first.
    ProcessFirst,
}

impl Binding {
    fn flags(self) -> c_int {
        match self {
            #[cfg(target_env = "gnu")]
            Binding::OwnFirst => RTLD_NOW | RTLD_LOCAL | libc::RTLD_DEEPBIND,
            _ => RTLD_NOW | RTLD_LOCAL,
        }
    }
}

/// Loads a shared object, of which nothing but its own handle sees the symbols.
pub fn open(file: &Path, binding: Binding) -> Result<Library, String> {
    // SAFETY: a plugin's initialisers run; that they may is what WebSocketHandler says.
    unsafe { Library::open(Some(file), binding.flags()) }.map_err(|error| error.to_string())
}

/// The shared object that is mapped under this name already, if there is one.
pub fn find(file: &Path) -> Option<Library> {
    // SAFETY: nothing is loaded, so no initialiser runs.
    unsafe { Library::open(Some(file), RTLD_NOW | libc::RTLD_NOLOAD) }.ok()
}

/// Lets everything that is loaded from now on see the symbols of a library that is mapped.
pub fn promote(name: &str) -> Option<Library> {
    // SAFETY: as in `find`.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL | libc::RTLD_NOLOAD) }.ok()
}

/// Where the library of this name is mapped, if it is.
pub fn mapped_file_of(name: &str) -> Option<MappedFile> {
    MappedFile::of_library(find(Path::new(name))?).1
}

/// Whether malloc is not the C library's: a sanitizer, or an allocator from LD_PRELOAD. Memory that one part of the
/// process takes must go back to the same, so nothing may then be bound to the C library's own.
#[cfg(target_env = "gnu")]
pub fn is_malloc_replaced() -> bool {
    // SAFETY: the name is terminated, and the address is only compared.
    let malloc = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
    let library = libc::gnu_get_libc_version as *const c_void;
    MappedFile::of(malloc).map(|place| place.base)
        != MappedFile::of(library).map(|place| place.base)
}

/// The same where there is no other way of binding to protect from it.
#[cfg(not(target_env = "gnu"))]
pub fn is_malloc_replaced() -> bool {
    true
}

/// The file that an address belongs to.
#[derive(Clone)]
pub struct MappedFile {
    /// Where the file is mapped; no two have the same.
    pub base: usize,
    /// The name under which it was loaded.
    pub file: PathBuf,
}

impl MappedFile {
    /// Where `address` lies; `None` when that is no shared object's memory.
    pub fn of(address: *const c_void) -> Option<Self> {
        // SAFETY: dladdr takes any address, and fills the structure in when it returns something else than 0.
        unsafe {
            let mut info: libc::Dl_info = std::mem::zeroed();
            if libc::dladdr(address, &mut info) == 0 || info.dli_fname.is_null() {
                return None;
            }
            let name = CStr::from_ptr(info.dli_fname).to_bytes();
            Some(MappedFile {
                base: info.dli_fbase as usize,
                file: PathBuf::from(OsStr::from_bytes(name)),
            })
        }
    }

    /// Where a loaded object lies.
    pub fn of_library(library: Library) -> (Library, Option<Self>) {
        let handle = library.into_raw();
        let mut map: *mut LinkMap = std::ptr::null_mut();
        // SAFETY: the handle is open, and the call fills in one pointer to what lives as long as the handle; the
        // dynamic section is inside the object. The handle is taken back as it was given.
        unsafe {
            let found = libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) == 0;
            let place = (found && !map.is_null())
                .then(|| MappedFile::of((*map).dynamic))
                .flatten();
            (Library::from_raw(handle), place)
        }
    }

    /// Whether the address lies in memory that this object's file wants to be executed.
    pub fn is_code(&self, address: *const c_void) -> bool {
        let mut search = Search {
            address: address as usize,
            is_code: false,
        };
        // SAFETY: `visit` gets the pointer that is given here, on this thread, before the call returns.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        search.is_code
    }

    /// Which file it is, as the kernel knows it; `None` when /proc does not say.
    pub fn identity(&self) -> Option<String> {
        identity_at(self.base)
    }
}

/// The beginning of `struct link_map` (link.h).
#[repr(C)]
struct LinkMap {
    address: usize,
    name: *const libc::c_char,
    dynamic: *const c_void,
}

struct Search {
    address: usize,
    is_code: bool,
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: dl_iterate_phdr gives a live structure with as many headers as it says, and the pointer of `is_code`.
    unsafe {
        let search = &mut *search.cast::<Search>();
        let base = (*info).dlpi_addr as usize;
        for index in 0..usize::from((*info).dlpi_phnum) {
            let header = &*(*info).dlpi_phdr.add(index);
            let begin = base.wrapping_add(header.p_vaddr as usize);
            let size = header.p_memsz as usize;
            if header.p_type == libc::PT_LOAD
                && search.address.wrapping_sub(begin) < size
                && header.p_flags & libc::PF_X != 0
            {
                search.is_code = true;
            }
        }
    }
    0
}

/// Which file lies at a path, as the kernel would say of its mapping. (What stat says may differ: overlay and btrfs
/// file systems have devices that mappings do not show.)
pub fn identity_of(file: &Path) -> Option<String> {
    let opened = File::open(file).ok()?;
    // SAFETY: one page of an open file, read by nobody, where the kernel likes; it is unmapped below.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            1,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            opened.as_raw_fd(),
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    let identity = identity_at(page as usize);
    // SAFETY: what was mapped above, which nobody uses.
    unsafe { libc::munmap(page, 1) };
    identity
}

/// Device and inode of what is mapped at an address (proc(5), maps).
fn identity_at(address: usize) -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (begin, end) = fields.next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        if !(number(begin)?..number(end)?).contains(&address) {
            return None;
        }
        let device = fields.nth(2)?;
        let inode = fields.next()?;
        Some(format!("{device} {inode}"))
    })
}

/// A symbol of a loaded object or of one that it needs.
pub fn symbol(library: &Library, name: &CString) -> Option<*const c_void> {
    // SAFETY: the address is only looked at.
    let symbol = unsafe { library.get::<*const c_void>(name.as_bytes_with_nul()) }.ok()?;
    let address = symbol.into_raw().cast_const();
    (!address.is_null()).then_some(address.cast())
}
