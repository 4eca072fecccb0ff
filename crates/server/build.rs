//! Puts the browser application into the program: a table of the files in `web/dist`, empty when it was not built.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The kinds of files that the application is made of; a file of another kind is a mistake in its build.
const KINDS: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("woff2", "font/woff2"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist").canonicalize()?;
    // The folder is there in every clone: what is not there would have cargo build this package anew each time.
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    list(&folder, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| extension(file) != "gz") {
        let relative = file.strip_prefix(&folder)?.to_string_lossy().replace('\\', "/");
        let kind = KINDS.iter().find(|(known, _)| *known == extension(file));
        let kind = kind.ok_or_else(|| format!("{relative} is of a kind that is not served"))?.1;
        let compressed = PathBuf::from(format!("{}.gz", file.display()));
        let gzip = match compressed.exists() {
            true => format!("Some(include_bytes!({compressed:?}))"),
            false => "None".to_owned(),
        };
        writeln!(
            table,
            "Asset {{ path: {:?}, kind: {kind:?}, plain: include_bytes!({file:?}), gzip: {gzip} }},",
            format!("/{relative}")
        )?;
    }
    table.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").ok_or("cargo names a folder for what is made")?;
    fs::write(Path::new(&out).join("assets.rs"), table)?;
    Ok(())
}

/// All files below the folder but hidden ones, which are for tools.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type()?.is_dir() {
            _ if hidden => {}
            true => list(&entry.path(), files)?,
            false => files.push(entry.path().canonicalize()?),
        }
    }
    Ok(())
}

fn extension(file: &Path) -> &str {
    file.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
