//! APR: status codes, pools, tables and bucket brigades.

mod brigade;
mod pool;
mod status;
mod table;

pub use brigade::{Brigade, Taken};
pub use pool::Pool;
pub use status::Status;
pub use table::Table;
