//! Pages: the browser application in `web/`, which npm checks, tests, builds, and tries out in a browser.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, ensure};

use crate::test::machine::{NODE_PROBE, succeeds};

/// What the built pages are made of.
const SOURCES: &[&str] = &["src", "public", "index.html", "vite.config.ts", "package-lock.json"];

/// The command of a script of `web/package.json`, once its packages are there.
pub(crate) fn script(root: &Path, name: &str) -> anyhow::Result<Command> {
    install(root)?;
    let mut command = npm(root);
    command.args(["run", "--silent", name]);
    Ok(command)
}

/// The command that tries the pages out, with the programs of that folder.
pub(crate) fn in_a_browser(root: &Path, programs: &Path) -> anyhow::Result<Command> {
    let mut command = script(root, "e2e")?;
    command.arg("--").arg(programs);
    Ok(command)
}

/// Builds the pages unless they are built as they are written, so that the programs have them inside.
///
/// Where there is no Node, or no network to fetch packages from, the programs do without.
pub(crate) fn build_if_possible(root: &Path) {
    let web = root.join("web");
    if built_after(&web) {
        return;
    }
    if !succeeds(NODE_PROBE) || !succeeds(&["npm", "--version"]) {
        eprintln!("the pages are left out: building them needs Node 20.19 or newer, and npm");
        return;
    }
    eprintln!("building the pages");
    let built = script(root, "build").and_then(|mut build| {
        let status = build.stdout(Stdio::null()).status().context("cannot start npm")?;
        ensure!(status.success(), "`npm run build` failed in web/");
        Ok(())
    });
    if let Err(error) = built {
        eprintln!("the pages are left out: {error:#}");
    }
}

/// Fetches the packages of the lock file, unless that was done since it was last written.
fn install(root: &Path) -> anyhow::Result<()> {
    let web = root.join("web");
    let fetched = modified(&web.join("node_modules/.package-lock.json"));
    if fetched.is_some() && fetched >= modified(&web.join("package-lock.json")) {
        return Ok(());
    }
    let mut fetch = npm(root);
    fetch.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).stdout(Stdio::null());
    let status = fetch.status().context("cannot start npm")?;
    ensure!(status.success(), "the packages of the pages could not be fetched: run `npm ci` in web/");
    Ok(())
}

fn npm(root: &Path) -> Command {
    let mut command = Command::new("npm");
    // What is printed is read for its results.
    command.current_dir(root.join("web")).env("NO_COLOR", "1").env_remove("FORCE_COLOR").stdin(Stdio::null());
    command
}

fn built_after(web: &Path) -> bool {
    let built = modified(&web.join("dist/index.html"));
    let written = SOURCES.iter().filter_map(|source| newest(&web.join(source))).max();
    built.is_some() && built >= written
}

fn newest(path: &Path) -> Option<SystemTime> {
    let inside = fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path()));
    inside.chain(modified(path)).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn pages_are_built_again_when_a_source_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let web = folder.path();
        fs::create_dir_all(web.join("src/app")).unwrap();
        fs::create_dir(web.join("dist")).unwrap();
        fs::write(web.join("src/app/Shell.tsx"), "").unwrap();
        assert!(!built_after(web), "nothing is built");
        fs::write(web.join("dist/index.html"), "").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::open(web.join("dist/index.html")).unwrap().set_modified(later).unwrap();
        assert!(built_after(web));
        let latest = later + Duration::from_secs(60);
        fs::File::open(web.join("src/app/Shell.tsx")).unwrap().set_modified(latest).unwrap();
        assert!(!built_after(web));
    }
}
