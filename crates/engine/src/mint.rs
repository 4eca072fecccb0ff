//! Ids, seeds and secrets: the one place where chance comes in.

use data_encoding::{Encoding, Specification};
use jiff::Timestamp;
use std::sync::{LazyLock, Mutex};
use uuid::{ContextV7, Uuid};

/// Seeds stay below 2^53, so that every language keeps them exact.
const SEED_BITS: u32 = 53;

/// Characters that are safe in e-mail addresses, host names and identifiers, and not mistaken for each other.
static UNIQUE: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.encoding().expect("32 different symbols")
});

/// Counts ids of the same millisecond, so that they sort in the order in which they were made.
static ORDER: LazyLock<Mutex<ContextV7>> = LazyLock::new(|| Mutex::new(ContextV7::new()));

/// A new id that sorts by the given time, and by the order in which this server has made them.
pub(crate) fn id(at: Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(&*ORDER, seconds, nanos))
}

/// A seed for one dataset.
pub(crate) fn seed() -> u64 {
    fastrand::u64(..1 << SEED_BITS)
}

/// A short token that no other dataset has: 50 random bits.
pub(crate) fn unique() -> String {
    let bytes = fastrand::u64(..).to_be_bytes();
    UNIQUE.encode(&bytes[..5]) + &UNIQUE.encode(&fastrand::u64(..).to_be_bytes()[..5])[..2]
}

/// A number from 0 up to but not including 1.
pub(crate) fn chance() -> f64 {
    fastrand::f64()
}
