//! Replay: the disk as it was at any moment, and what a power cut at that moment may leave.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;

use crate::tape::{Change, Entry, Tape};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What becomes of everything that was written and not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing of it is there.
    Nothing,
    /// All of it is there, as when only the program ends.
    Everything,
    /// It is there up to one of the writes.
    Beginning,
    /// Some writes are there, others not.
    Some,
    /// Of each write some sectors are there, others not.
    Torn,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nothing, Self::Everything, Self::Beginning, Self::Some, Self::Torn];
}

/// A tape, wound forward to a moment.
#[derive(Debug)]
pub struct Replay<'a> {
    tape: &'a Tape,
    at: usize,
    /// What is surely on the disk.
    flushed: Files,
    /// What was done since, in sequence, by the number of its entry.
    open: Vec<usize>,
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files after a power cut.
#[derive(Debug)]
pub struct Image {
    files: Files,
}

impl<'a> Replay<'a> {
    /// The beginning of a tape.
    pub fn new(tape: &'a Tape) -> Self {
        Self { tape, at: 0, flushed: Files::new(), open: Vec::new() }
    }

    /// Winds forward until so many entries are behind; never back.
    pub fn forward(&mut self, to: usize) {
        for number in self.at..to.min(self.tape.len()) {
            match &self.tape.entries[number] {
                Entry::Changed { .. } => self.open.push(number),
                Entry::Flushed { file, covers } => self.flush(file, *covers),
            }
        }
        self.at = self.at.max(to);
    }

    /// File systems keep names in one sequence: with whatever is flushed, files are gone that were deleted before.
    fn flush(&mut self, flushed: &str, covers: usize) {
        let mut open = Vec::new();
        for number in std::mem::take(&mut self.open) {
            match &self.tape.entries[number] {
                Entry::Changed { file, change: Change::Delete } if number < covers => {
                    self.flushed.remove(file);
                    open.retain(|earlier| !self.is_of(*earlier, file));
                }
                Entry::Changed { file, change } if file == flushed && number < covers => {
                    apply(&mut self.flushed, file, change);
                }
                _ => open.push(number),
            }
        }
        self.open = open;
    }

    fn is_of(&self, number: usize, name: &str) -> bool {
        matches!(&self.tape.entries[number], Entry::Changed { file, .. } if file == name)
    }

    /// Whether something was done to this file that is not surely on the disk.
    pub fn is_open(&self, file: &str) -> bool {
        self.open.iter().any(|number| self.is_of(*number, file))
    }

    /// What a power cut at this moment leaves.
    pub fn image(&self, fate: Fate, random: &mut Rng) -> Image {
        let mut files = self.flushed.clone();
        let until = match fate {
            Fate::Nothing => 0,
            Fate::Beginning => random.usize(..=self.open.len()),
            Fate::Everything | Fate::Some | Fate::Torn => self.open.len(),
        };
        for number in &self.open[..until] {
            let Entry::Changed { file, change } = &self.tape.entries[*number] else { continue };
            match (fate, change) {
                (Fate::Torn, Change::Write { at, bytes }) => tear(&mut files, file, *at, bytes, random),
                (Fate::Some | Fate::Torn, _) if random.bool() => {}
                _ => apply(&mut files, file, change),
            }
        }
        Image { files }
    }
}

impl Image {
    /// Puts the files into a folder that has none of them.
    pub fn write_to(&self, folder: &Path) -> std::io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
    }
}

fn apply(files: &mut Files, file: &str, change: &Change) {
    match change {
        Change::Write { at, bytes } => write(files, file, *at, bytes),
        Change::Truncate(length) => files.entry(file.to_owned()).or_default().resize(*length, 0),
        Change::Delete => drop(files.remove(file)),
    }
}

fn write(files: &mut Files, file: &str, at: usize, bytes: &[u8]) {
    let content = files.entry(file.to_owned()).or_default();
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

fn tear(files: &mut Files, file: &str, at: usize, bytes: &[u8], random: &mut Rng) {
    let mut from = 0;
    while from < bytes.len() {
        let sector_ends = SECTOR - (at + from) % SECTOR;
        let to = bytes.len().min(from + sector_ends);
        if random.bool() {
            write(files, file, at + from, &bytes[from..to]);
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use rusqlite::Connection;

    use super::*;
    use crate::Recording;

    /// One test, because there is one recording at a time.
    #[test]
    fn what_was_flushed_is_in_every_image_and_what_was_not_may_be_in_none() {
        crate::install().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::of(folder.path());
        let file = folder.path().join("a.db");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
        connection.execute_batch("CREATE TABLE a (n INTEGER); INSERT INTO a VALUES (1)").unwrap();
        let flushed_at = recording.position();
        connection.execute_batch("PRAGMA synchronous = OFF; INSERT INTO a VALUES (2)").unwrap();
        let written_at = recording.position();
        drop(connection);
        let tape = recording.finish();
        assert!(tape.flushes() > 0 && flushed_at < written_at, "{} {flushed_at} {written_at}", tape.len());

        let mut random = Rng::with_seed(1);
        let mut replay = Replay::new(&tape);
        let mut sums = |replay: &Replay<'_>, fate| {
            let image = tempfile::tempdir().unwrap();
            replay.image(fate, &mut random).write_to(image.path()).unwrap();
            let read = Connection::open(image.path().join("a.db")).unwrap();
            read.query_row("SELECT sum(n) FROM a", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        replay.forward(flushed_at);
        assert_eq!(Fate::ALL.map(|fate| sums(&replay, fate)), [1; 5]);
        replay.forward(written_at);
        assert_eq!((sums(&replay, Fate::Nothing), sums(&replay, Fate::Everything)), (1, 3));
        let torn: Vec<i64> = (0..20).map(|_| sums(&replay, Fate::Torn)).collect();
        assert!(torn.iter().all(|sum| [1, 3].contains(sum)) && torn.contains(&1), "{torn:?}");
    }
}
