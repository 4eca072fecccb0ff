//! Power cuts: everything that SQLite writes is recorded on its way to the disk, and what a power cut would leave of it is made.
//!
//! ```text
//! store -> SQLite -> shim -> SQLite's own functions -> files
//!                     |
//!                    tape -> replay, up to any moment -> image -> files that a store is opened over
//! ```
//!
//! A disk keeps what was flushed. Of everything since then it may have anything: nothing, all, the first part, some writes and not
//! others, and of a write some sectors and not others.

mod replay;
#[allow(
    unsafe_code,
    reason = "SQLite reaches the disk through a table of C functions; nothing else in here is unsafe"
)]
mod shim;
mod tape;

pub use replay::{Fate, Image, Replay};
pub use shim::install;
pub use tape::{Recording, Tape};
