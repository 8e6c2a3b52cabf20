//! Who reads the log: as many as like, without its lock.

mod batch;
mod history;
mod reader;
mod trail;

pub use batch::{Batch, Record};
pub(crate) use history::read_one;
pub use history::{History, Limits};
pub use reader::{Cause, Gap, Reader};
pub use trail::Trail;
