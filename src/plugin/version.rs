//! Which version of a plugin's file runs: the one that lies at its path, or one that the process could not let go of.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use libloading::os::unix::Library;

use super::image::Image;
use super::mapped::{self, Binding, MappedFile};

/// How many versions of one file may stay mapped before the newest is not looked for any more.
const MOST_VERSIONS: usize = 32;
/// How many files are remembered from one configuration to the next.
const MOST_FILES: usize = 256;

/// Loads what lies at `file`. The text, if there is one, says which old version stays, why, and what to do.
///
/// When an older version is still mapped, the loader gives that one again under the same name. Then the new one is
/// loaded under another name of the file, unless the two cannot live beside each other.
pub fn load(
    file: &Path,
    image: Option<&Image>,
    binding: Binding,
) -> Result<(Library, Option<String>), String> {
    for number in 0..MOST_VERSIONS {
        let name = another_name(file, number);
        let Some(mapped) = mapped::find(&name) else {
            let library = mapped::open(&name, binding)?;
            remember(file, image);
            return Ok((library, None));
        };
        let (mapped, place) = MappedFile::of_library(mapped);
        let identity = place.as_ref().and_then(MappedFile::identity);
        if identity.is_none() || identity == mapped::identity_of(file) {
            // What is in the middle of its own reading is the same for two init functions of one file.
            let is_overwritten = is_overwritten(file, image);
            return Ok((mapped, is_overwritten.then(|| overwritten(file))));
        }
        if let Some(symbol) = place.and_then(|place| shared(image, &mapped, &place)) {
            return Ok((mapped, Some(stays(file, &symbol))));
        }
    }
    let library = mapped::open(file, binding)?;
    Ok((library, Some(too_many(file))))
}

/// A symbol of the new version's that the process has once only, and has from the old version.
fn shared(image: Option<&Image>, mapped: &Library, place: &MappedFile) -> Option<String> {
    let mut unique = image?.unique();
    let symbol = unique.find(|name| {
        let name = CString::new(*name).ok();
        let address = name.and_then(|name| mapped::symbol(mapped, &name));
        let found = address.and_then(MappedFile::of);
        found.is_some_and(|found| found.base == place.base)
    })?;
    Some(symbol.to_owned())
}

fn stays(file: &Path, symbol: &str) -> String {
    format!(
        "the old version of {} goes on running, the new one is not taken: both define symbols that a process can have \
         once only, such as {symbol}. Stop httpd and start it. A linker version script that exports the init function \
         only lets the next version be taken (docs/plugin-guide.md, \"A new version\")",
        file.display()
    )
}

fn overwritten(file: &Path) -> String {
    format!(
        "{} was written over while it was mapped, and still is: what runs is the old version, or a mixture of both. \
         Stop httpd and start it. A new version is put in place with install or mv, never with cp; a linker version \
         script that exports the init function only lets the old one go (docs/plugin-guide.md, \"A new version\")",
        file.display()
    )
}

fn too_many(file: &Path) -> String {
    format!(
        "an old version of {} goes on running, the new one is not taken: {MOST_VERSIONS} old ones are mapped already, \
         because something has bound to their symbols. Stop httpd and start it. A linker version script that exports \
         the init function only lets old versions go (docs/plugin-guide.md, \"A new version\")",
        file.display()
    )
}

/// The file's own name, or another one of it, which the loader takes for another file until it compares inodes.
fn another_name(file: &Path, number: usize) -> PathBuf {
    let mut name = file
        .parent()
        .unwrap_or(Path::new("/"))
        .as_os_str()
        .to_owned();
    name.push("/.".repeat(number));
    name.push("/");
    name.push(file.file_name().unwrap_or_default());
    PathBuf::from(name)
}

/// What a file was when it was mapped: device and inode, and what was in it.
type Record = [u64; 3];

fn record(file: &Path, image: Option<&Image>) -> Option<Record> {
    let metadata = fs::metadata(file).ok()?;
    Some([metadata.dev(), metadata.ino(), image?.digest])
}

fn records() -> impl Iterator<Item = [&'static AtomicU64; 3]> {
    const LENGTH: usize = 3 * MOST_FILES;
    let numbers = httpd::retained::numbers::<LENGTH>(c"mod_websocket.plugin_files");
    numbers
        .chunks_exact(3)
        .map(|chunk| [&chunk[0], &chunk[1], &chunk[2]])
}

fn remember(file: &Path, image: Option<&Image>) {
    let Some(record) = record(file, image) else {
        return;
    };
    let mut place = records().find(|entry| {
        let [device, inode, _] = entry.map(|number| number.load(Ordering::Relaxed));
        (device, inode) == (record[0], record[1]) || inode == 0
    });
    for (number, value) in place.iter_mut().flatten().zip(record) {
        number.store(value, Ordering::Relaxed);
    }
}

/// Whether a file's contents are others than when it was mapped.
fn is_overwritten(file: &Path, image: Option<&Image>) -> bool {
    let Some(now) = record(file, image) else {
        return false;
    };
    records().any(|entry| {
        let then = entry.map(|number| number.load(Ordering::Relaxed));
        then[..2] == now[..2] && then[2] != now[2]
    })
}
