//! The repository as the rules see it: every text file, read once, with its test code told apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context;
use regex::Regex;

/// Folders that hold nothing of ours: build output and fetched packages.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", "dist"];

/// Hidden folders that are ours; all others belong to tools.
const OWN_HIDDEN_FOLDERS: &[&str] = &[".cargo", ".ci", ".github"];

/// What `cargo xtask tidy` looks at.
pub(crate) struct Repository {
    root: PathBuf,
    files: Vec<TextFile>,
}

/// One file in UTF-8. Files in other encodings are not text and no rule sees them.
pub(crate) struct TextFile {
    /// From the top folder, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The number of the line where test code begins and goes on to the end; 1 for a file of tests only.
    tests_from: Option<usize>,
}

impl Repository {
    /// Reads all files below `root`, in the order of their paths.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut paths = Vec::new();
        list(root, &mut paths)?;
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                let relative = path.strip_prefix(root).expect("every listed path lies below the root");
                files.push(TextFile::new(&relative.to_string_lossy(), text));
            }
        }
        mark_test_modules(&mut files);
        Ok(Self { root: root.to_owned(), files })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn files(&self) -> &[TextFile] {
        &self.files
    }

    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(move |file| file.extension() == extension)
    }

    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &TextFile> {
        self.with_extension("rs")
    }

    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files directly in a folder; `folder` ends with a slash.
    pub(crate) fn directly_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a TextFile> {
        self.files
            .iter()
            .filter(move |file| file.path.strip_prefix(folder).is_some_and(|rest| !rest.contains('/')))
    }

    /// Whether a path from the top folder names a file or folder of any kind.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

impl TextFile {
    fn new(path: &str, text: String) -> Self {
        let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let only_tests = ["tests", "benches", "conformance"]
            .iter()
            .any(|folder| path.split('/').any(|part| part == *folder));
        let tests_from = match (is_rust, only_tests) {
            (false, _) => None,
            (true, true) => Some(1),
            (true, false) => inline_tests(&text),
        };
        Self { path: path.to_owned(), text, tests_from }
    }

    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or("")
    }

    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// All lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines that end up in the product: everything before the tests.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.tests_from.unwrap_or(usize::MAX);
        self.lines().take_while(move |(number, _)| *number < end)
    }

    /// The lines that only tests see.
    pub(crate) fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let start = self.tests_from.unwrap_or(usize::MAX);
        self.lines().skip_while(move |(number, _)| *number < start)
    }
}

/// What a line of Rust does, without what it says: text in quotes is emptied and comments are cut off, so that prose
/// never breaks a rule. A text that goes over several lines is seen as code from its second line on.
pub(crate) fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut letters = line.chars().peekable();
    let mut inside = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if inside => {
                letters.next();
            }
            '"' if inside || !code.ends_with('\'') => {
                inside = !inside;
                code.push(letter);
            }
            '/' if !inside && letters.peek() == Some(&'/') => break,
            _ if inside => {}
            _ => code.push(letter),
        }
    }
    code
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        let hidden = name.starts_with('.') && !OWN_HIDDEN_FOLDERS.contains(&name.as_str());
        if kind.is_dir() && !hidden && !SKIPPED_FOLDERS.contains(&name.as_str()) {
            list(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Where `#[cfg(test)] mod tests {` stands, which is always the last part of a file.
fn inline_tests(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{'))
        .map(|index| index + 1)
}

/// Files that a parent declares as `#[cfg(test)] mod name;` hold only tests, and so do the files below them.
fn mark_test_modules(files: &mut [TextFile]) {
    static DECLARED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^#\[cfg\(test\)\]\n(?:pub(?:\([a-z]+\))? )?mod (\w+);")
            .expect("the pattern is well-formed")
    });
    let mut modules = BTreeSet::new();
    for file in files.iter().filter(|file| file.extension() == "rs") {
        let folder = module_folder(&file.path);
        for found in DECLARED.captures_iter(&file.text) {
            modules.insert(format!("{folder}{}", &found[1]));
        }
    }
    for file in files {
        let module = file.path.strip_suffix(".rs");
        if modules.iter().any(|name| module == Some(name) || file.path.starts_with(&format!("{name}/"))) {
            file.tests_from = Some(1);
        }
    }
}

/// The folder where the child modules of a file lie, ending with a slash.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder,
        _ => format!("{folder}{}/", name.trim_end_matches(".rs")),
    }
}

/// A repository in a folder of its own that is removed with the value.
#[cfg(test)]
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

#[cfg(test)]
impl Fixture {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// What a rule finds here, as the lines that would be printed.
    pub(crate) fn faults(&self, rule: fn(&Repository) -> Vec<super::Fault>) -> Vec<String> {
        let repository = Repository::read(self.root()).unwrap();
        rule(&repository).iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_output_and_tools_folders_are_not_ours() {
        let fixture = Fixture::new(&[
            ("target/a.rs", ""),
            (".git/b.md", ""),
            ("web/node_modules/c.md", ""),
            (".ci/run", ""),
            ("docs/d.md", ""),
        ]);
        let repository = Repository::read(fixture.root()).unwrap();
        let paths: Vec<&str> = repository.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".ci/run", "docs/d.md"]);
    }

    #[test]
    fn comments_and_texts_are_not_code() {
        for (line, code) in [
            ("a(); // b()", "a(); "),
            ("//! a()", ""),
            (r#"a("b() // c", d)"#, r#"a("", d)"#),
            (r#"a("say \"b()\"", '"')"#, r#"a("", '"')"#),
            (r#"url("http://x.test"); b()"#, r#"url(""); b()"#),
        ] {
            assert_eq!(code_of(line), code, "{line}");
        }
    }

    #[test]
    fn tests_are_told_apart_from_the_product() {
        let fixture = Fixture::new(&[
            ("a/src/lib.rs", "mod x;\n#[cfg(test)]\nmod testing;\n"),
            ("a/src/x.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"),
            ("a/src/testing.rs", "fn b() {}\n"),
            ("a/src/testing/deep.rs", "fn c() {}\n"),
            ("a/tests/it/main.rs", "fn d() {}\n"),
        ]);
        let repository = Repository::read(fixture.root()).unwrap();
        let product = |path: &str| repository.file(path).unwrap().product_lines().count();
        assert_eq!(product("a/src/lib.rs"), 3);
        assert_eq!(product("a/src/x.rs"), 1);
        for path in ["a/src/testing.rs", "a/src/testing/deep.rs", "a/tests/it/main.rs"] {
            assert_eq!(product(path), 0, "{path}");
        }
    }
}
