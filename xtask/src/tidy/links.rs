//! Links: what a document points at inside the repository is there, and every document is pointed at by another.
//!
//! A document points with links and with paths in backticks.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

/// Folders whose files are named in documents by their full path.
const NAMED_FOLDERS: &str = "crates|sdks|examples|xtask|docs|api|web|verify|deploy|\\.ci";

/// Documents about how things were; the paths they name need not exist any more.
const HISTORY: &[&str] = &["CHANGELOG.md", "docs/decisions/"];

/// Where people begin to look for a document; it needs no link that leads to it.
const INDEX: &str = "docs/README.md";

/// Follows every link and named path of every document.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut reached = BTreeSet::from([INDEX.to_owned()]);
    for file in repository.with_extension("md") {
        let targets = links(file).into_iter().filter_map(|(_, target)| path_of(file, &target));
        reached.extend(targets.filter(|target| *target != file.path));
        faults.extend(check_document(repository, file));
    }
    for file in repository.with_extension("md").filter(|file| file.path.starts_with("docs/")) {
        if !reached.contains(&file.path) {
            faults.push(Fault::new(
                &file.path,
                1,
                "no document leads here",
                format!("link to it from {INDEX}"),
            ));
        }
    }
    faults
}

fn check_document(repository: &Repository, file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, target) in links(file) {
        if let Some(what) = broken(repository, file, &target) {
            faults.push(Fault::new(&file.path, line, what, "mend the link or write what it points at"));
        }
    }
    if !HISTORY.iter().any(|history| file.path.starts_with(history)) {
        for (line, path) in named_paths(file) {
            if !repository.exists(&path) {
                let what = format!("names `{path}`, which is not there");
                faults.push(Fault::new(&file.path, line, what, "name the file where it is now"));
            }
        }
    }
    faults
}

/// Why a link leads nowhere, or `None` when it leads somewhere or out into the world.
fn broken(repository: &Repository, file: &TextFile, target: &str) -> Option<String> {
    if leads_outside(target) {
        return None;
    }
    let Some(path) = path_of(file, target).filter(|path| repository.exists(path)) else {
        return Some(format!("the link `{target}` leads nowhere"));
    };
    let (_, anchor) = target.split_once('#')?;
    let document = repository.file(&path).filter(|document| document.extension() == "md")?;
    (!anchors(document).contains(anchor)).then(|| format!("`{path}` has no heading `#{anchor}`"))
}

fn leads_outside(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// The file or folder that a link names, from the top folder.
fn path_of(file: &TextFile, target: &str) -> Option<String> {
    let path = target.split('#').next().unwrap_or("");
    if leads_outside(target) {
        None
    } else if path.is_empty() {
        Some(file.path.clone())
    } else {
        resolve(&file.path, path)
    }
}

/// A relative link from the top folder; `None` when it is absolute or leaves the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        return None;
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn parse(file: &TextFile) -> impl Iterator<Item = (usize, Event<'_>)> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let line_at = |offset: usize| file.text[..offset].matches('\n').count() + 1;
    Parser::new_ext(&file.text, options)
        .into_offset_iter()
        .map(move |(event, range)| (line_at(range.start), event))
}

fn links(file: &TextFile) -> Vec<(usize, String)> {
    let targets = parse(file).filter_map(|(line, event)| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some((line, dest_url.to_string()))
        }
        _ => None,
    });
    targets.collect()
}

fn named_paths(file: &TextFile) -> Vec<(usize, String)> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r"^(?:{NAMED_FOLDERS})/[A-Za-z0-9_./-]*$")).expect("the pattern is well-formed")
    });
    let paths = parse(file).filter_map(|(line, event)| match event {
        Event::Code(code) if PATH.is_match(&code) => Some((line, code.to_string())),
        _ => None,
    });
    paths.collect()
}

/// The places in a document that a link can name: its headings, the way hosts of Git repositories spell them.
fn anchors(file: &TextFile) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for (_, event) in parse(file) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let plain = slug(&heading.take().unwrap_or_default());
                let numbered = (1..).map(|count| format!("{plain}-{count}"));
                let free =
                    std::iter::once(plain.clone()).chain(numbered).find(|slug| !anchors.contains(slug));
                anchors.extend(free);
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn headings_become_anchors_as_on_the_web() {
        assert_eq!(slug("The `lease`, and its end (P6)"), "the-lease-and-its-end-p6");
        let fixture = Fixture::new(&[("docs/a.md", "# A\n## State `x`\n## State `x`\n")]);
        let repository = Repository::read(fixture.root()).unwrap();
        let anchors = anchors(repository.file("docs/a.md").unwrap());
        assert_eq!(Vec::from_iter(anchors), ["a", "state-x", "state-x-1"]);
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let fixture = Fixture::new(&[
            (
                "docs/README.md",
                "# A\n[b](sub/b.md) [c](sub/b.md#two-words) [d](../crates/) [e](#a) [f](https://x.test/y) ![g](g.svg)\n\n[h]: sub/b.md\n",
            ),
            ("docs/sub/b.md", "# B\n## Two words\n"),
            ("docs/g.svg", ""),
            ("crates/x.rs", ""),
        ]);
        assert!(fixture.faults(check).is_empty());
    }

    #[test]
    fn dead_links_are_found_with_their_line() {
        for dead in ["missing.md", "b.md#nothing", "#nothing", "../../outside.md", "/docs/b.md"] {
            let fixture = Fixture::new(&[
                ("docs/README.md", &format!("# A\n\n[b](b.md) see [x]({dead})\n")),
                ("docs/b.md", "# B\n"),
            ]);
            let faults = fixture.faults(check);
            assert_eq!(faults.len(), 1, "{dead}");
            assert!(faults[0].starts_with("docs/README.md:3: "), "{faults:?}");
        }
    }

    #[test]
    fn a_document_that_nobody_links_to_is_found() {
        let fixture = Fixture::new(&[
            ("docs/README.md", "# Index\n[a](a.md)\n"),
            ("docs/a.md", "# A\n"),
            ("docs/alone.md", "# Alone\n[itself](alone.md)\n"),
            ("sdks/rust/README.md", "# Outside of docs\n"),
        ]);
        assert_eq!(
            fixture.faults(check),
            ["docs/alone.md:1: no document leads here: link to it from docs/README.md"]
        );
    }

    #[test]
    fn code_blocks_hold_no_links() {
        let fixture =
            Fixture::new(&[("docs/README.md", "# A\n```text\n[x](missing.md)\n```\n`[y](missing.md)`\n")]);
        assert!(fixture.faults(check).is_empty());
    }

    #[test]
    fn paths_in_backticks_exist_unless_the_document_is_history() {
        let text =
            "# A\n`crates/model/src/gone.rs` and `crates/model/` and `crates/*/x.rs` and `leases.rs`\n";
        let fixture = Fixture::new(&[
            ("docs/README.md", &format!("{text}[x](decisions/0001-a.md)\n")),
            ("docs/decisions/0001-a.md", text),
            ("CHANGELOG.md", text),
            ("crates/model/src/lib.rs", ""),
        ]);
        let faults = fixture.faults(check);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("docs/README.md:2: names `crates/model/src/gone.rs`"));
    }
}
