//! The store of a server: which one, how it is opened and closed, and why it cannot be used.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sixpack_engine::Engine;
use sixpack_storage::postgres::{self, Address, PostgresStore};
use sixpack_storage::sqlite::{self, SqliteStore};
use sixpack_storage::{Store, StoreError};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::migrate;
use crate::serving::chain;
use crate::settings::{Settings, StoreChoice};

/// How often the store is asked whether it still can be written to. Seldom enough to let an idle disk sleep most of the
/// time, often enough that a supervisor restarts a server with a broken store soon.
const STORE_ASKED_EVERY: Duration = Duration::from_secs(5);

/// A store that is open.
pub(crate) enum OpenStore {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl OpenStore {
    /// Opens the store that the settings name.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Fault> {
        let refused = |error| refused(&error, settings);
        match &settings.store {
            StoreChoice::Sqlite => {
                make_folder(&settings.data)?;
                let folder = settings.data.clone();
                let opening = move || SqliteStore::open(&folder, sqlite::Settings::default());
                let opened = tokio::task::spawn_blocking(opening).await;
                let store = opened.expect("opening a store does not panic").map_err(refused)?;
                Ok(Self::Sqlite(Arc::new(store)))
            }
            StoreChoice::Postgres(address) => {
                if settings.migrate {
                    migrate::up_before_serving(address).await.map_err(refused)?;
                }
                let store = PostgresStore::open(address, postgres::Settings::default()).await;
                Ok(Self::Postgres(Arc::new(store.map_err(refused)?)))
            }
        }
    }

    /// The store as the engine takes it.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<_>,
            Self::Postgres(store) => Arc::clone(store) as Arc<_>,
        }
    }

    /// Finishes what is under way.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(store) => {
                let closing = tokio::task::spawn_blocking(move || store.close());
                closing.await.expect("closing a store does not panic");
            }
            Self::Postgres(store) => store.close().await,
        }
    }

    /// Returns when the store cannot be trusted any more.
    ///
    /// Of PostgreSQL nothing is in this process that a new start would mend: a server that cannot use it says so to whoever asks,
    /// and goes on when it can. Only when its schema has left this build behind, when it was restored, or when it may lose what it
    /// acknowledges by now, nothing is acknowledged any more: another build, a new start, or other settings of the database will help.
    pub(crate) async fn broken(&self, engine: &Engine) -> Fault {
        match self {
            Self::Sqlite(_) => broken(engine).await,
            Self::Postgres(store) => left_behind(store).await,
        }
    }
}

async fn left_behind(store: &PostgresStore) -> Fault {
    loop {
        tokio::time::sleep(STORE_ASKED_EVERY).await;
        if let Err(
            error @ (StoreError::Newer { .. } | StoreError::Unsuitable { .. } | StoreError::Restored),
        ) = store.check().await
        {
            return no_database(&error, store.address());
        }
    }
}

async fn broken(engine: &Engine) -> Fault {
    loop {
        let noticed = tokio::select! {
            () = tokio::time::sleep(STORE_ASKED_EVERY) => false,
            () = engine.until_broken() => true,
        };
        let why = match engine.ping().await {
            Err(error @ StoreError::Broken { .. }) => chain(&error),
            _ if noticed => "reading or writing failed; the log says where".to_owned(),
            _ => continue,
        };
        return Fault::new(Exit::Io, format!("the store cannot be trusted any more: {why}"))
            .next("look at the disk, then start the server again: everything acknowledged is on it");
    }
}

/// Makes the data folder, for its owner only: it holds tokens and test data.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Fault::new(Exit::CannotCreate, format!("{} is a file, and no folder", folder.display()))
        }
        _ => Fault::unwritable(folder, &error),
    })
    .map_err(|fault| fault.next("name a folder for the store with --data"))
}

/// Why there is no store to serve.
pub(crate) fn refused(error: &StoreError, settings: &Settings) -> Fault {
    match &settings.store {
        StoreChoice::Sqlite => no_folder(error, &settings.data),
        StoreChoice::Postgres(address) => no_database(error, address),
    }
}

const NEWER: &str = "start the build that wrote it, or a newer one; it was not changed";

fn no_database(error: &StoreError, address: &Address) -> Fault {
    let cannot = || format!("{address} cannot be used: {}", chain(error));
    match error {
        StoreError::Unreadable { .. } => Fault::new(Exit::Data, error.to_string())
            .next("name another schema or database with --store; this one was not changed"),
        StoreError::Newer { .. } => Fault::new(Exit::Mismatch, error.to_string())
            .next(NEWER),
        StoreError::Older { .. } => Fault::new(Exit::Mismatch, error.to_string()),
        StoreError::Busy { .. } => Fault::new(Exit::TryLater, error.to_string()),
        StoreError::Restored => Fault::new(Exit::TryLater, error.to_string())
            .next("start the server again, once `sixpack restore --after-restore` is done"),
        StoreError::Unsuitable { .. } => Fault::new(Exit::Settings, error.to_string())
            .next("have the database set up otherwise, or name another one with --store"),
        StoreError::Denied { .. } => Fault::new(Exit::NotPermitted, cannot())
            .next("look at user, password and database in --store, PGPASSWORD or --store-password-file; the user must be allowed to create a schema"),
        StoreError::Unavailable { .. } | StoreError::Unanswered { .. } => {
            Fault::new(Exit::Unavailable, cannot())
                .next("look whether the database runs and can be reached from here")
        }
        StoreError::InUse { .. }
        | StoreError::Full
        | StoreError::Broken { .. }
        | StoreError::InDoubt { .. } => {
            Fault::new(Exit::Io, cannot()).next("look into the log of the database")
        }
        StoreError::Closed => Fault::new(Exit::Internal, error.to_string()),
    }
}

fn no_folder(error: &StoreError, folder: &Path) -> Fault {
    let place = folder.display();
    match error {
        StoreError::InUse { .. } => {
            Fault::new(Exit::TryLater, format!("{place} is in use by another server"))
                .next("stop that one, or name another folder with --data")
        }
        StoreError::Unreadable { .. } => Fault::new(Exit::Data, error.to_string())
            .next("name another folder with --data; this one was not changed"),
        StoreError::Newer { .. } => Fault::new(Exit::Mismatch, error.to_string()).next(NEWER),
        StoreError::Older { .. } => Fault::new(Exit::Mismatch, error.to_string()),
        StoreError::Busy { .. } => Fault::new(Exit::TryLater, error.to_string()),
        StoreError::Full => Fault::new(Exit::Io, error.to_string()),
        StoreError::Broken { .. } | StoreError::InDoubt { .. } => {
            let what = format!("the store in {place} cannot be opened: {}", chain(error));
            let exit = if not_permitted(error) { Exit::NotPermitted } else { Exit::Io };
            Fault::new(exit, what)
                .next("the folder must be on a local disk, and this user must be allowed to write to it")
        }
        StoreError::Unsuitable { .. }
        | StoreError::Denied { .. }
        | StoreError::Unavailable { .. }
        | StoreError::Unanswered { .. } => Fault::new(Exit::Unavailable, chain(error)),
        StoreError::Restored => Fault::new(Exit::TryLater, error.to_string()),
        StoreError::Closed => Fault::new(Exit::Internal, error.to_string()),
    }
}

fn not_permitted(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::PermissionDenied;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_store_cannot_be_opened_decides_how_the_program_ends() {
        let folder = Path::new("/data");
        let broken = |kind: io::ErrorKind| StoreError::Broken {
            doing: "opening",
            cause: io::Error::from(kind).into(),
        };
        for (error, exit) in [
            (StoreError::InUse { path: "/data/lock".into() }, Exit::TryLater),
            (StoreError::Unreadable { reason: "x".into() }, Exit::Data),
            (StoreError::Newer { reason: "x".into() }, Exit::Mismatch),
            (StoreError::Older { reason: "x".into() }, Exit::Mismatch),
            (StoreError::Busy { reason: "x".into() }, Exit::TryLater),
            (StoreError::Full, Exit::Io),
            (broken(io::ErrorKind::PermissionDenied), Exit::NotPermitted),
            (broken(io::ErrorKind::Other), Exit::Io),
        ] {
            assert_eq!(no_folder(&error, folder).exit, exit, "{error}");
        }
    }

    #[test]
    fn why_a_database_cannot_be_used_decides_how_the_program_ends() {
        let address: Address = "postgres://ann:s3cret@db/shop".parse().unwrap();
        let cause = || "no".into();
        let doing = "looking";
        for (error, exit) in [
            (StoreError::Unreadable { reason: "x".into() }, Exit::Data),
            (StoreError::Newer { reason: "x".into() }, Exit::Mismatch),
            (StoreError::Older { reason: "x".into() }, Exit::Mismatch),
            (StoreError::Busy { reason: "x".into() }, Exit::TryLater),
            (StoreError::Unsuitable { reason: "x".into() }, Exit::Settings),
            (StoreError::Denied { doing, cause: cause() }, Exit::NotPermitted),
            (StoreError::Unavailable { doing, cause: cause() }, Exit::Unavailable),
            (StoreError::Broken { doing, cause: cause() }, Exit::Io),
        ] {
            let fault = no_database(&error, &address);
            assert_eq!(fault.exit, exit, "{error}");
            assert!(!fault.what.contains("s3cret"), "{}", fault.what);
        }
    }
}
