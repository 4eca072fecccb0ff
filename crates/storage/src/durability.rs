//! Durability: what an answered write stands for.

/// What an answered write stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut.
    Flushed,
    /// It survives the end of the process only: for tests, which would otherwise wait for the disk.
    TestsOnly,
}
