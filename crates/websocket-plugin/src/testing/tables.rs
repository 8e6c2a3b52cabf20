//! The tables that init functions of `export_plugin!` have handed out.

use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::WebSocketPlugin;

/// From the init function to `destroy`. A world takes any safe function for an init function: what is here may be used,
/// whatever else that function returns may not.
static TABLES: Mutex<Vec<AtomicPtr<WebSocketPlugin>>> = Mutex::new(Vec::new());

/// A table is handed out.
pub(crate) fn add(table: *mut WebSocketPlugin) {
    tables().push(AtomicPtr::new(table));
}

/// A table is about to be freed.
pub(crate) fn remove(table: *mut WebSocketPlugin) {
    let mut tables = tables();
    tables.retain_mut(|other| *other.get_mut() != table);
    if tables.is_empty() {
        // A static is not dropped when httpd unloads the shared object.
        *tables = Vec::new();
    }
}

/// The table at this address, if there is one: as it was handed out, since an address alone gives no right to what is there.
pub(crate) fn find(table: *mut WebSocketPlugin) -> Option<*mut WebSocketPlugin> {
    let tables = tables();
    let mut all = tables.iter().map(|other| other.load(Ordering::Relaxed));
    all.find(|&other| other == table)
}

fn tables() -> MutexGuard<'static, Vec<AtomicPtr<WebSocketPlugin>>> {
    TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}
