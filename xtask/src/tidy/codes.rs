//! Codes: what an answer can carry as its `code` stands in docs/errors.md, and nothing else does.
//!
//! The page is what the server serves at `/docs/errors`; a code that it does not explain leads its reader nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

const PAGE: &str = "docs/errors.md";

/// Where codes are made; other layers only pass them on.
const SOURCES: &[&str] = &["crates/model/src/", "crates/engine/src/", "crates/server/src/"];

/// Functions that take a code, and which of their arguments it is. A text there that is no code, because the function of
/// that name is another one, is none of the words in `OTHERS`.
const SPEAKERS: &[(&str, usize)] = &[
    ("Fault::new", 1),
    ("ProblemFault::new", 1),
    ("Diagnostic::new", 2),
    ("Misfit::new", 0),
    ("Problem::new", 1),
    ("Self::new", 0),
    ("Self::new", 1),
    ("Fault::refused", 0),
    ("Problem::unreadable", 0),
    ("Problem::not_found", 0),
    ("unsupported", 0),
    ("conflict", 0),
    ("refused", 0),
    ("refuse", 0),
    ("refuse", 1),
    ("add", 1),
    ("fault", 1),
    ("report", 1),
    ("push", 1),
    ("diagnostic", 1),
    ("alternatives", 1),
];

/// Codes of another kind: of the expression language at work, which reach nobody as codes, and why a stock rule is starved, which
/// docs/api.md explains.
const OTHERS: &[&str] = &["expression_budget", "not_text", "failing", "offline"];

static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\b(\w+)::)?\b(\w+)\("));
static FIELD: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bcode(?::| =) "([a-z][a-z0-9_]*)""#));
static LINKED: LazyLock<Regex> = LazyLock::new(|| pattern(r"/docs/errors#([a-z][a-z0-9_]*)"));
/// What the checks of values against schemas answer: code and message.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"[^\w]\(\s*"([a-z][a-z0-9_]*)",\s*(?:format!|message|excerpt|"[^"]* [^"]*"\.to_owned)"#)
});
static TEXT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)"$"#));
static LITERAL: LazyLock<Regex> = LazyLock::new(|| pattern(r#""([a-z][a-z0-9_]*)""#));
static ROW: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\| `([a-z][a-z0-9_]*)` \|"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is well formed")
}

/// Compares the page with the sources, both ways.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let Some(page) = repository.file(PAGE) else { return Vec::new() };
    let mut faults = Vec::new();
    let mut explained = BTreeMap::new();
    for (line, text) in page.lines() {
        let Some(code) = ROW.captures(text).map(|found| found[1].to_owned()) else { continue };
        if text.matches('|').count() != 5 {
            faults.push(Fault::new(PAGE, line, format!("`{code}` has not four columns"), "give it all four"));
        }
        if let Some(first) = explained.insert(code.clone(), line) {
            let what = format!("`{code}` is explained in line {first} already");
            faults.push(Fault::new(PAGE, line, what, "keep one of the two"));
        }
    }
    let mut said = BTreeSet::new();
    for file in repository.rust_files().filter(|file| SOURCES.iter().any(|from| file.path.starts_with(from)))
    {
        let text = product_text(file);
        said.extend(LITERAL.captures_iter(&text).map(|found| found[1].to_owned()));
        said.extend(LINKED.captures_iter(&text).map(|found| found[1].to_owned()));
        for (line, code) in codes(&text) {
            if !explained.contains_key(&code) && !OTHERS.contains(&code.as_str()) {
                let what = format!("nobody can read what the code `{code}` means");
                faults.push(Fault::new(&file.path, line, what, format!("add a row to {PAGE}")));
            }
        }
    }
    for (code, line) in explained.iter().filter(|(code, _)| !said.contains(*code)) {
        let what = format!("no answer carries the code `{code}`");
        faults.push(Fault::new(PAGE, *line, what, "remove the row, or correct the code"));
    }
    faults
}

fn product_text(file: &TextFile) -> String {
    let mut text = String::new();
    for (_, line) in file.product_lines() {
        // Comments speak of codes, and of quotes, as they like.
        if !line.trim_start().starts_with("//") {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// Every code that is written down where a code is taken, with its line.
fn codes(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    for call in CALL.captures_iter(text) {
        let name = &call[2];
        let of_type = call.get(1).map(|of| format!("{}::{name}", of.as_str()));
        let places: Vec<usize> = SPEAKERS
            .iter()
            .filter(|(speaker, _)| *speaker == name || of_type.as_deref() == Some(speaker))
            .map(|(_, place)| *place)
            .collect();
        if places.is_empty() {
            continue;
        }
        let whole = call.get(0).expect("a match has a whole");
        let arguments = arguments(&text[whole.end()..]);
        for place in places {
            let code = arguments.get(place).and_then(|argument| TEXT.captures(argument));
            found.extend(code.map(|code| (line(whole.start()), code[1].to_owned())));
        }
    }
    for single in [&*FIELD, &*LINKED, &*PAIR] {
        for capture in single.captures_iter(text) {
            let at = capture.get(1).expect("the pattern has a group");
            found.push((line(at.start()), at.as_str().to_owned()));
        }
    }
    found
}

/// The arguments of a call, from behind its parenthesis on.
fn arguments(text: &str) -> Vec<String> {
    let (mut arguments, mut current) = (Vec::new(), String::new());
    let (mut depth, mut inside) = (0_usize, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if inside => {
                current.push(letter);
                current.extend(letters.next());
                continue;
            }
            '"' => inside = !inside,
            _ if inside => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(std::mem::take(&mut current).trim().to_owned());
                continue;
            }
            _ => {}
        }
        current.push(letter);
    }
    arguments.push(current.trim().to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    const HEAD: &str = "# Errors\n\n| code | status | what it means | what to do next |\n|---|---|---|---|\n";

    fn faults(page: &str, source: &str) -> Vec<String> {
        let page = format!("{HEAD}{page}");
        Fixture::new(&[(PAGE, &page), ("crates/model/src/a.rs", source)]).faults(check)
    }

    #[test]
    fn a_code_that_is_explained_passes_wherever_it_is_made() {
        let source = "//! A.\nfn a() {\n    faults.push(Fault::new(at, \"range\", format!(\"is {x}\")));\n    \
                      let b = Slip { code: \"range\" };\n    faults.add(join(\"a\", \"b\"), \"range\", \"x\");\n}\n";
        assert_eq!(faults("| `range` | 422 | too much | less |\n", source), [""; 0]);
    }

    #[test]
    fn a_code_that_nobody_explains_is_found_where_it_is_made() {
        for made in [
            "Fault::new(join(at, \"x\"), \"odd\", message)",
            "Problem::new(\n        StatusCode::CONFLICT,\n        \"odd\", \"Odd\")",
            "Slip { code: \"odd\", message }",
            "self.push(node.position(), \"odd\", \"a, b\", \"c\")",
            "return (\"odd\", format!(\"{value}\"))",
        ] {
            let found = faults("", &format!("//! A.\nfn a() {{\n    {made};\n}}\n"));
            assert_eq!(found.len(), 1, "{made}: {found:?}");
            assert!(found[0].starts_with("crates/model/src/a.rs:"), "{found:?}");
            assert!(found[0].contains("what the code `odd` means: add a row"), "{found:?}");
        }
    }

    #[test]
    fn a_row_for_nothing_or_without_advice_is_found() {
        let mut found = faults(
            "| `gone` | 422 | it was | go |\n| `range` | 422 | too much |\n",
            "//! A.\nconst A: &str = \"range\";\n",
        );
        found.sort();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("docs/errors.md:5: no answer carries the code `gone`"), "{found:?}");
        assert!(found[1].contains("docs/errors.md:6: `range` has not four columns"), "{found:?}");
    }

    #[test]
    fn what_tests_and_comments_say_is_no_code() {
        let source = "//! A.\n// Fault::new(at, \"odd\", x)\n#[cfg(test)]\nmod tests {\n    fn a() { Fault::new(at, \"odd\", x); }\n}\n";
        assert_eq!(faults("", source), [""; 0]);
    }
}
