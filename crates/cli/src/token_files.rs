//! Files with a token in them, readable by their owner only.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sixpack_engine::{Engine, NewToken};
use sixpack_model::token::Role;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::serving::chain;

/// Makes a token that may do everything, and keeps it in `file`; returns it.
pub(crate) async fn make(
    engine: &Engine,
    name: &str,
    lifetime: Option<Duration>,
    file: &Path,
) -> Result<String, Fault> {
    let new =
        NewToken { name: name.to_owned(), role: Role::Admin, environment: None, domain: None, lifetime };
    let made = engine.create_token(new).await.map_err(|refusal| failed(&refusal))?;
    keep(file, &made.secret)?;
    Ok(made.secret)
}

/// The token in `file`, if it is one that this server takes.
pub(crate) async fn kept(engine: &Engine, file: &Path) -> Result<Option<String>, Fault> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(None) };
    let token = text.trim().to_owned();
    let caller = engine.authenticate(&token).await.map_err(|refusal| failed(&refusal))?;
    Ok(caller.filter(|caller| caller.role == Role::Admin).map(|_| token))
}

/// Whether somebody holds a token that may do everything.
pub(crate) async fn has_administrator(engine: &Engine) -> Result<bool, Fault> {
    let now = engine.now().await.map_err(|error| failed(&error))?;
    let tokens = engine.tokens().await.map_err(|refusal| failed(&refusal))?;
    Ok(tokens.iter().any(|token| {
        token.role == Role::Admin
            && token.revoked_at.is_none()
            && token.expires_at.is_none_or(|end| now < end)
    }))
}

/// Replaces `file` in one step, so that nobody reads half a token, and nobody else reads it at all.
fn keep(file: &Path, token: &str) -> Result<(), Fault> {
    let fresh = file.with_extension("new");
    let failed = |error| Fault::unwritable(file, &error);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut writing =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    writeln!(writing, "{token}").and_then(|()| writing.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, file).map_err(failed)
}

fn failed(error: &dyn std::error::Error) -> Fault {
    Fault::new(Exit::Io, format!("the store failed: {}", chain(error)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_kept_token_is_for_its_owner_only_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for token in ["sxp_one", "sxp_two"] {
            keep(&file, token).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{token}\n"));
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
