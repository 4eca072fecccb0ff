//! Ids: opaque to clients, with a kind prefix, ordered by time of creation.
//!
//! A dataset tree has one random 128-bit id; its parts are numbered within it, so that everything that belongs
//! to one tree lies side by side in every index: `ds_<tree>` is the root, `ds_<tree>_3` its third part,
//! `task_<tree>_3_1` the first task of that part.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that an id survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of 128 bits in base 32.
const UUID_CHARS: usize = 26;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: these begin with `{prefix}_`")]
pub struct IdError {
    kind: &'static str,
    prefix: &'static str,
}

/// The id of a whole dataset tree; also that of its root.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeId(pub Uuid);

/// The id of one dataset: the root of a tree or one of its parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatasetId {
    /// The tree that the dataset belongs to.
    pub tree: TreeId,
    /// 0 is the root; parts are numbered in the order in which they were planned.
    pub part: u32,
}

/// The number of a stock line; see [`crate::stock::Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId(pub i64);

/// The id of one task: one operation of one part of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The tree that the task belongs to.
    pub tree: TreeId,
    /// The part that it makes, checks or undoes.
    pub part: u32,
    /// Counts the tasks of that part from 1.
    pub serial: u32,
}

impl TaskId {
    /// The dataset that the task is about.
    pub fn dataset(self) -> DatasetId {
        DatasetId { tree: self.tree, part: self.part }
    }
}

impl TreeId {
    /// The dataset at the top of the tree.
    pub fn root(self) -> DatasetId {
        DatasetId { tree: self, part: 0 }
    }

    /// One part of the tree.
    pub fn part(self, part: u32) -> DatasetId {
        DatasetId { tree: self, part }
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ds_{}", encode(self.0))
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => write!(f, "ds_{}", encode(self.tree.0)),
            part => write!(f, "ds_{}_{part}", encode(self.tree.0)),
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task_{}_{}_{}", encode(self.tree.0), self.part, self.serial)
    }
}

impl FromStr for DatasetId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let rest = text.strip_prefix("ds_")?;
            let (tree, part) = match rest.split_once('_') {
                Some((tree, part)) => (tree, number(part).filter(|part| *part > 0)?),
                None => (rest, 0),
            };
            Some(DatasetId { tree: TreeId(decode(tree)?), part })
        };
        parse().ok_or(IdError { kind: "dataset", prefix: "ds" })
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let mut pieces = text.strip_prefix("task_")?.split('_');
            let (tree, part, serial) = (pieces.next()?, pieces.next()?, pieces.next()?);
            let id = TaskId { tree: TreeId(decode(tree)?), part: number(part)?, serial: number(serial)? };
            pieces.next().is_none().then_some(id)
        };
        parse().ok_or(IdError { kind: "task", prefix: "task" })
    }
}

macro_rules! plain_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(IdError { kind: $kind, prefix: $prefix })
            }
        }

        debug_as_display!($name);
    };
}

macro_rules! debug_as_display {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

plain_id!(
    /// The id of a request.
    RequestId, "req", "request"
);
plain_id!(
    /// The id of a lease.
    LeaseId, "lease", "lease"
);
plain_id!(
    /// The id of a supplier session.
    SessionId, "ses", "session"
);
plain_id!(
    /// The id of a token; never the secret itself.
    TokenId, "tok", "token"
);
debug_as_display!(TreeId, DatasetId, TaskId);

/// Reads a number that is written the one canonical way: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

fn encode(uuid: Uuid) -> String {
    let mut bits = uuid.as_u128();
    let mut chars = [0u8; UUID_CHARS];
    for char in chars.iter_mut().rev() {
        *char = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    chars.iter().map(|byte| char::from(*byte)).collect()
}

fn decode(text: &str) -> Option<Uuid> {
    // The first character carries the top three bits only; anything above `7` would not come back the same.
    if text.len() != UUID_CHARS || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes()
        .try_fold(0u128, |bits, byte| {
            let digit = ALPHABET.iter().position(|candidate| *candidate == byte)?;
            Some((bits << 5) | digit as u128)
        })
        .map(Uuid::from_u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back_from_its_text() {
        for bits in [0, 1, u128::MAX, 0x0190_1234_5678_7abc_8def_0123_4567_89ab] {
            let tree = TreeId(Uuid::from_u128(bits));
            for dataset in [tree.root(), tree.part(1), tree.part(u32::MAX)] {
                assert_eq!(dataset.to_string().parse(), Ok(dataset));
            }
            let task = TaskId { tree, part: 0, serial: 7 };
            assert_eq!(task.to_string().parse(), Ok(task));
            let lease = LeaseId(Uuid::from_u128(bits));
            assert_eq!(lease.to_string().parse(), Ok(lease));
        }
    }

    #[test]
    fn ids_sort_like_the_time_of_their_creation() {
        let (earlier, later) = (RequestId(Uuid::from_u128(5)), RequestId(Uuid::from_u128(1 << 90)));
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn a_text_of_another_shape_is_refused() {
        let tree = TreeId(Uuid::from_u128(9)).to_string();
        for text in ["", "ds_", "ds_01", "req_00000000000000000000000000", "ds_80000000000000000000000000"] {
            assert!(text.parse::<DatasetId>().is_err(), "{text}");
        }
        for suffix in ["_", "_0", "_01", "_+1", "_4294967296", "_1_1"] {
            assert!(format!("{tree}{suffix}").parse::<DatasetId>().is_err(), "{suffix}");
        }
        assert!("ds_0000000000000000000000000I".parse::<DatasetId>().is_err());
    }
}
