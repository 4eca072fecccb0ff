//! The shim: SQLite's own way to the disk, with four functions of a file and two of the file system that are noted on the tape as well.
//!
//! Everything else, locks and shared memory above all, stays as SQLite has it: a file of a recorded folder keeps its own structure and
//! gets a copy of its table of functions, in which writing, cutting, flushing and closing are ours. They call SQLite's own.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use crate::tape::{self, Change};

/// SQLite's own file system, as it was before.
struct Own(*mut sqlite3_vfs);

// SAFETY: SQLite keeps its file systems for as long as the program runs and uses them from every thread.
unsafe impl Send for Own {}
// SAFETY: as above; nothing in here changes it.
unsafe impl Sync for Own {}

static OWN: OnceLock<Own> = OnceLock::new();

/// A file that is recorded, by the address of its structure, which SQLite does not move while it is open.
struct File {
    name: String,
    own: &'static sqlite3_io_methods,
}

static FILES: Mutex<Option<HashMap<usize, File>>> = Mutex::new(None);

/// Puts the shim between this program and the disk; again does nothing. What was opened before is not seen.
pub fn install() -> Result<(), rusqlite::Error> {
    let mut outcome = ffi::SQLITE_OK;
    OWN.get_or_init(|| {
        // SAFETY: with no name it is the default one, which every build for a system with files has.
        let own = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        // SAFETY: it was just found, and is a plain structure that may be copied.
        let copy = unsafe { *own };
        let shim = Box::leak(Box::new(sqlite3_vfs {
            pNext: std::ptr::null_mut(),
            zName: c"power-cut".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..copy
        }));
        // SAFETY: it lives as long as the program, and has every function of the one that it is a copy of.
        outcome = unsafe { ffi::sqlite3_vfs_register(shim, 1) };
        Own(own)
    });
    match outcome {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn own() -> *mut sqlite3_vfs {
    OWN.get().expect("nothing is called before it is installed").0
}

fn files() -> MutexGuard<'static, Option<HashMap<usize, File>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name on the tape of what SQLite names by `path`.
///
/// # Safety
///
/// `path` is null, or ends with a zero.
unsafe fn recorded(path: *const c_char) -> Option<String> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let path = unsafe { CStr::from_ptr(path) };
    tape::recorded(Path::new(OsStr::from_bytes(path.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    given: *mut c_int,
) -> c_int {
    let own = own();
    // SAFETY: the arguments are SQLite's own; the structure has the size that this file system asks for, because the copy asks for it.
    let outcome =
        unsafe { (*own).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(own, path, file, flags, given)) };
    // SAFETY: a path of SQLite ends with a zero, and it is null for a file without a name.
    let name = unsafe { recorded(path) };
    if outcome == ffi::SQLITE_OK
        && let Some(name) = name
    {
        // SAFETY: a file that was opened has a table of functions, which SQLite keeps for as long as the program runs.
        let own = unsafe { &*(*file).pMethods };
        let ours = sqlite3_io_methods {
            xWrite: Some(write),
            xTruncate: Some(truncate),
            xSync: Some(sync),
            xClose: Some(close),
            ..*own
        };
        files().get_or_insert_default().insert(file as usize, File { name, own });
        // A few bytes for each file of a recording, of which there are some dozen.
        // SAFETY: the table lives as long as the program.
        unsafe { (*file).pMethods = Box::leak(Box::new(ours)) };
    }
    outcome
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, flush_folder: c_int) -> c_int {
    let own = own();
    // SAFETY: the arguments are SQLite's own.
    let does = || unsafe {
        (*own).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(own, path, flush_folder))
    };
    // SAFETY: a path of SQLite ends with a zero.
    match unsafe { recorded(path) } {
        Some(name) => tape::change(&name, Change::Delete, does),
        None => does(),
    }
}

/// The name on the tape of an open file, and its own functions.
fn known(file: *mut sqlite3_file) -> (String, &'static sqlite3_io_methods) {
    let files = files();
    let found = files.as_ref().and_then(|files| files.get(&(file as usize)));
    let File { name, own } =
        found.expect("only files that were noted when they were opened have these functions");
    (name.clone(), own)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, length: c_int, at: i64) -> c_int {
    let (name, own) = known(file);
    let (Ok(length_of), Ok(begins)) = (usize::try_from(length), usize::try_from(at)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite hands over so many bytes.
    let content = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length_of) }.to_vec();
    // SAFETY: the arguments are SQLite's own, for a file that this function belongs to.
    let does =
        || unsafe { own.xWrite.map_or(ffi::SQLITE_IOERR_WRITE, |write| write(file, bytes, length, at)) };
    tape::change(&name, Change::Write { at: begins, bytes: content }, does)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    let (name, own) = known(file);
    let Ok(length_of) = usize::try_from(length) else { return ffi::SQLITE_IOERR_TRUNCATE };
    // SAFETY: as for writing.
    let does =
        || unsafe { own.xTruncate.map_or(ffi::SQLITE_IOERR_TRUNCATE, |truncate| truncate(file, length)) };
    tape::change(&name, Change::Truncate(length_of), does)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let (name, own) = known(file);
    // SAFETY: as for writing.
    tape::flush(&name, || unsafe { own.xSync.map_or(ffi::SQLITE_IOERR_FSYNC, |sync| sync(file, flags)) })
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let (_, own) = known(file);
    files().as_mut().and_then(|files| files.remove(&(file as usize)));
    // SAFETY: as for writing. Its own function finds its own table, as it has left it.
    unsafe {
        (*file).pMethods = own;
        own.xClose.map_or(ffi::SQLITE_IOERR_CLOSE, |close| close(file))
    }
}
