//! The tape: what was done to the files of one folder, in sequence, with every flush.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a flush takes at least, as on a real disk. In memory it would take no time, and whoever is answered before it would seem to be
/// answered after it.
const FLUSH: Duration = Duration::from_micros(500);

/// What was done to a file.
#[derive(Debug)]
pub(crate) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Delete,
}

/// One entry.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A file was changed.
    Changed { file: String, change: Change },
    /// Everything that was done to this file in the first `covers` entries is on the disk.
    Flushed { file: String, covers: usize },
}

/// Everything that was done to the files of one folder.
#[derive(Debug)]
pub struct Tape {
    folder: PathBuf,
    pub(crate) entries: Vec<Entry>,
}

impl Tape {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of the entries are flushes.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Flushed { .. })).count()
    }
}

/// There is one at a time: the shim is the whole program's.
static TAPE: Mutex<Option<Tape>> = Mutex::new(None);

/// A recording that goes on.
#[derive(Debug)]
pub struct Recording(());

impl Recording {
    /// Begins to record what is done to files directly in `folder`. An earlier recording is dropped.
    pub fn of(folder: &Path) -> Self {
        *running() = Some(Tape { folder: folder.to_owned(), entries: Vec::new() });
        Self(())
    }

    /// How much there is on the tape: whatever is answered now, and was flushed, is in the entries up to here.
    pub fn position(&self) -> usize {
        running().as_ref().map_or(0, Tape::len)
    }

    /// Ends it.
    pub fn finish(self) -> Tape {
        running().take().expect("a recording has a tape until it is finished")
    }
}

/// The name of a file on the tape, if what is done to it is recorded.
pub(crate) fn recorded(path: &Path) -> Option<String> {
    let tape = running();
    let inside = path.parent() == Some(&*tape.as_ref()?.folder);
    inside.then(|| path.file_name().map(|name| name.to_string_lossy().into_owned())).flatten()
}

/// Does something to a file, and notes it when it went well. Nothing else is noted in between, so that the tape has the sequence in
/// which things were done.
pub(crate) fn change(file: &str, what: Change, does: impl FnOnce() -> i32) -> i32 {
    let mut tape = running();
    let outcome = does();
    if outcome == rusqlite::ffi::SQLITE_OK
        && let Some(tape) = &mut *tape
    {
        tape.entries.push(Entry::Changed { file: file.to_owned(), change: what });
    }
    outcome
}

/// Flushes a file: what is done to it while that lasts is not covered.
pub(crate) fn flush(file: &str, does: impl FnOnce() -> i32) -> i32 {
    let covers = running().as_ref().map_or(0, Tape::len);
    std::thread::sleep(FLUSH);
    let outcome = does();
    if outcome == rusqlite::ffi::SQLITE_OK
        && let Some(tape) = &mut *running()
    {
        tape.entries.push(Entry::Flushed { file: file.to_owned(), covers });
    }
    outcome
}

fn running() -> MutexGuard<'static, Option<Tape>> {
    TAPE.lock().unwrap_or_else(PoisonError::into_inner)
}
