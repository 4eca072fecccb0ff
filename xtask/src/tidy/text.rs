//! Text: no tabs, no blanks at line ends, no leftovers of a merge, and a line break at the end.

use super::Fault;
use super::repository::{Repository, TextFile};

/// Kinds of files that people write here.
const WRITTEN: &[&str] =
    &["rs", "md", "toml", "yaml", "yml", "json", "sql", "html", "css", "js", "ts", "tsx", "py", "java", "sh"];

/// Written files without an extension.
const WRITTEN_NAMES: &[&str] = &["run", "LICENSE", "NOTICE", ".gitignore", ".gitattributes", ".editorconfig"];

/// Files in which foreign tools choose the blanks.
const FOREIGN_NAMES: &[&str] = &["package-lock.json", "pnpm-lock.yaml"];

/// What `git merge` leaves behind at the beginning of a line when nobody looked.
const MERGE_MARKS: &[&str] = &["<<<<<<< ", ">>>>>>> ", "||||||| "];

/// Looks at every line of every written file.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    repository.files().iter().filter(|file| is_written(file)).flat_map(check_file).collect()
}

fn is_written(file: &TextFile) -> bool {
    let name = file.file_name();
    let known = WRITTEN.contains(&file.extension()) || WRITTEN_NAMES.contains(&name);
    known && !FOREIGN_NAMES.contains(&name)
}

fn check_file(file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: &str, fix: &str| faults.push(Fault::new(&file.path, line, what, fix));
    for (number, line) in file.text.split('\n').enumerate().map(|(index, line)| (index + 1, line)) {
        if line.contains('\t') {
            fault(number, "a tab", "write blanks, or `\\t` in a literal");
        }
        if line.ends_with('\r') {
            fault(number, "a line ends as on Windows", "end lines with a line feed alone");
        } else if line.ends_with([' ', '\t']) {
            fault(number, "blanks at the end of the line", "remove them");
        }
        if MERGE_MARKS.iter().any(|mark| line.starts_with(mark)) || line == "=======" {
            fault(number, "a merge was left unfinished", "choose one side and remove the marks");
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        fault(file.lines().count(), "the last line has no end", "end the file with a line break");
    }
    if file.text.ends_with("\n\n") {
        fault(file.lines().count(), "empty lines at the end", "remove them");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn each_kind_of_litter_is_found() {
        let merge = format!("{} HEAD\n", "<".repeat(7));
        for text in ["a\tb\n", "a \n", "a\r\n", &merge, "=======\n", "a", "a\n\n"] {
            let faults = Fixture::new(&[("docs/a.md", text)]).faults(check);
            assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
            assert!(faults[0].starts_with("docs/a.md:1: ") || text == "a\n\n", "{faults:?}");
        }
    }

    #[test]
    fn clean_text_and_foreign_files_pass() {
        let fixture = Fixture::new(&[
            ("docs/a.md", "# A\n\ntext\n"),
            ("docs/empty.md", ""),
            ("sdks/go/a.go", "\tx := 1\n"),
            ("web/package-lock.json", "{\t}"),
        ]);
        assert!(fixture.faults(check).is_empty());
    }
}
