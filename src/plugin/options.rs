//! What `WebSocketPluginOption` says.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

/// The options of one scope: name and value.
#[derive(Clone, Default)]
pub struct Options(BTreeMap<CString, CString>);

impl Options {
    /// Sets an option; the last value counts.
    pub fn set(&mut self, name: CString, value: CString) {
        self.0.insert(name, value);
    }

    /// The value of an option.
    pub fn get(&self, name: &CStr) -> Option<&CStr> {
        self.0.get(name).map(CString::as_c_str)
    }

    /// Every option, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_c_str(), value.as_c_str()))
    }

    /// These, and those of `outer` that are not here.
    pub fn within(&self, outer: &Options) -> Options {
        let mut merged = outer.0.clone();
        merged.extend(self.0.clone());
        Options(merged)
    }
}
