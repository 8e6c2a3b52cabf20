//! The Locations of the board: what each is called, and which plugin it has.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::board::Board;
use crate::bytes;
use crate::form::cut;
use crate::layout::{LOCATIONS, PLUGINS};

/// The words of a label: its state, two lengths, then the bytes of two texts.
pub(crate) const LABEL: usize = 64;
pub(crate) type Label = [AtomicU64; LABEL];

const STATE: usize = 0;
const NAME_LENGTH: usize = 1;
const PLUGIN_LENGTH: usize = 2;
const TEXT: usize = 4;
/// The most bytes of both texts together.
const MOST_TEXT: usize = (LABEL - TEXT) * 8;
const MOST_PLUGIN: usize = 128;

/// States of a label.
const FREE: u64 = 0;
const WRITING: u64 = 1;
const READY: u64 = 2;

/// The last Location stands for all that have none of their own.
const OTHERS: usize = LOCATIONS - 1;
/// How often to look again at a label that is being written. Its writer waits for nothing meanwhile.
const LOOKS: usize = 1000;

/// One Location of a board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location(pub(crate) u16);

/// A plugin, by its name on a board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PluginLabel(pub(crate) u8);

/// What stands for all plugins that have no label of their own.
const OTHER_PLUGINS: usize = PLUGINS - 1;

impl<'m> Board<'m> {
    /// The Location of this name with this plugin, which is added when it is new. Texts that are too long are cut.
    pub fn location(self, name: &str, plugin: &str) -> Location {
        let plugin = cut(plugin, MOST_PLUGIN);
        let name = cut(name, MOST_TEXT - plugin.len());
        let packed = pack(name, plugin);
        Location(find(&self.labels[..OTHERS], &packed).unwrap_or(OTHERS) as u16)
    }

    /// The label of the plugin of this name, which is added when it is new.
    pub fn plugin(self, name: &str) -> PluginLabel {
        let packed = pack("", cut(name, MOST_PLUGIN));
        PluginLabel(find(&self.plugins[..OTHER_PLUGINS], &packed).unwrap_or(OTHER_PLUGINS) as u8)
    }

    /// A plugin's name.
    pub fn plugin_name(self, plugin: PluginLabel) -> String {
        let label = self.plugins.get(usize::from(plugin.0));
        let texts = label.and_then(texts);
        texts.map_or_else(|| "another plugin".to_owned(), |(_, plugin)| plugin)
    }

    /// Name and plugin of a Location; `None` while there is no such.
    pub(crate) fn label(self, index: usize) -> Option<(String, String)> {
        if index == OTHERS {
            return Some(("(others)".to_owned(), String::new()));
        }
        texts(&self.labels[index])
    }
}

/// The index of the label that says this. One that is free is made to.
fn find(labels: &[Label], packed: &[u64; LABEL]) -> Option<usize> {
    labels.iter().position(|label| {
        if take(label) {
            for (word, &value) in label[1..].iter().zip(&packed[1..]) {
                word.store(value, Ordering::Relaxed);
            }
            label[STATE].store(READY, Ordering::Release);
            return true;
        }
        let is_same = |(word, &value): (&AtomicU64, &u64)| word.load(Ordering::Relaxed) == value;
        is_ready(label) && label[1..].iter().zip(&packed[1..]).all(is_same)
    })
}

/// What a label says; `None` while it says nothing.
fn texts(label: &Label) -> Option<(String, String)> {
    if label[STATE].load(Ordering::Acquire) != READY {
        return None;
    }
    let word = |index: usize| label[index].load(Ordering::Relaxed);
    let bytes = bytes::read(&label[TEXT..]);
    let (name, plugin) = (word(NAME_LENGTH) as usize, word(PLUGIN_LENGTH) as usize);
    Some((
        bytes::text(&bytes, 0, name),
        bytes::text(&bytes, name, plugin),
    ))
}

/// Makes a free label the caller's to write.
fn take(label: &Label) -> bool {
    // Most are not free, and writing to what others read is slow.
    label[STATE].load(Ordering::Relaxed) == FREE
        && label[STATE]
            .compare_exchange(FREE, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
}

/// Whether a label can be read. One whose writer has died never will.
fn is_ready(label: &Label) -> bool {
    for _ in 0..LOOKS {
        match label[STATE].load(Ordering::Acquire) {
            READY => return true,
            WRITING => hint::spin_loop(),
            _ => return false,
        }
    }
    false
}

fn pack(name: &str, plugin: &str) -> [u64; LABEL] {
    let mut words = [0; LABEL];
    words[STATE] = READY;
    words[NAME_LENGTH] = name.len() as u64;
    words[PLUGIN_LENGTH] = plugin.len() as u64;
    for (index, byte) in name.bytes().chain(plugin.bytes()).enumerate() {
        words[TEXT + index / 8] |= u64::from(byte) << (index % 8 * 8);
    }
    words
}
