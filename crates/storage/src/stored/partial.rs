//! Partial files: what is being written, under another name until all of it is on the disk.
//!
//! A file under its final name is whole: whatever ends the process before that leaves a partial one, which the next attempt
//! throws away.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who may read what holds test data and hashes of tokens: its owner, as with the store.
const MODE: u32 = 0o600;

/// A file that is being written. This process has it for itself.
pub(crate) struct Partial {
    held: File,
    partial: PathBuf,
    file: PathBuf,
}

/// Why it cannot be written.
pub(crate) enum PartialError {
    /// Something is there already, and is not to be written over.
    Occupied(PathBuf),
    /// Somebody else is writing it.
    InUse(PathBuf),
    /// A file cannot be written, locked or flushed.
    Io { path: PathBuf, doing: &'static str, cause: io::Error },
}

impl Partial {
    /// Takes the place of a file that is not there yet, whatever another process has left of it.
    pub(crate) fn begin(file: &Path) -> Result<Self, PartialError> {
        if file.exists() {
            return Err(PartialError::Occupied(file.to_owned()));
        }
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |cause| io_error(&partial, "written", cause);
        // What leads somewhere else was put there by somebody, and not left by one of ours.
        match std::fs::symlink_metadata(&partial) {
            Ok(left) if !left.is_file() => return Err(PartialError::Occupied(partial)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let held =
            options.create(true).truncate(false).write(true).mode(MODE).open(&partial).map_err(failed)?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PartialError::InUse(partial)),
            Err(TryLockError::Error(cause)) => return Err(io_error(&partial, "locked", cause)),
        }
        // One that was left keeps its mode otherwise, and one of somebody else is refused by this.
        held.set_permissions(Permissions::from_mode(MODE)).and_then(|()| held.set_len(0)).map_err(failed)?;
        Ok(Self { held, partial, file: file.to_owned() })
    }

    /// Where it is written to.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// What is written to; empty at the beginning.
    pub(crate) fn held(&self) -> &File {
        &self.held
    }

    /// Gives the file its name, when all of it is on the disk.
    pub(crate) fn finish(self) -> Result<(), PartialError> {
        self.held.sync_all().map_err(|cause| io_error(&self.partial, "flushed", cause))?;
        // A link does not write over what somebody has put there meanwhile. Not every file system has them.
        let named = match std::fs::hard_link(&self.partial, &self.file) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.file.clone();
                self.discard();
                return Err(PartialError::Occupied(file));
            }
            Err(_) => std::fs::rename(&self.partial, &self.file),
            Ok(()) => std::fs::remove_file(&self.partial),
        };
        named.map_err(|cause| io_error(&self.file, "written", cause))?;
        flush_folder(&self.file).map_err(|cause| io_error(&self.file, "flushed", cause))
    }

    /// Takes it away.
    pub(crate) fn discard(self) {
        // What is left does no harm: the next one takes its place.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// What was given its name in a folder is there after a power cut only if the folder is flushed.
pub(crate) fn flush_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn io_error(path: &Path, doing: &'static str, cause: io::Error) -> PartialError {
    PartialError::Io { path: path.to_owned(), doing, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_by_somebody_is_for_the_owner_only_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (file, left) = (folder.path().join("out"), folder.path().join("out.partial"));
        std::fs::write(&left, "before").unwrap();
        std::fs::set_permissions(&left, Permissions::from_mode(0o666)).unwrap();
        let Ok(partial) = Partial::begin(&file) else { panic!("it takes the place of what was left") };
        assert!(partial.finish().is_ok());
        let written = std::fs::metadata(&file).unwrap();
        assert_eq!((written.len(), written.permissions().mode() & 0o777), (0, MODE));
        assert!(!left.exists());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("out"), folder.path().join("other"));
        std::fs::write(&other, "of somebody").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("out.partial")).unwrap();
        assert!(matches!(Partial::begin(&file), Err(PartialError::Occupied(_))));
        assert_eq!(std::fs::read(&other).unwrap(), b"of somebody");
    }
}
