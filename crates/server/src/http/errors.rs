//! Errors: the page that the `type` of every problem points at.
//!
//! It is docs/errors.md, which explains every code; `cargo xtask tidy` holds it against the sources.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::edge::query::{NoParameters, Query};

/// What there is to say, as the documentation has it.
const TEXT: &str = include_str!("../../../../docs/errors.md");

static PAGE: LazyLock<String> = LazyLock::new(|| page(TEXT));

/// Explains every code
///
/// For people: what a code means, and what to do next. Each code is an anchor.
#[utoipa::path(get, path = "/docs/errors", tag = "health", responses(
    (status = 200, description = "A page without scripts", body = String, content_type = "text/html"),
))]
pub(super) async fn get_errors(Query(NoParameters {}): Query<NoParameters>) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE.as_str()).into_response()
}

/// The document as a page: headings, paragraphs, and tables of which every row is an anchor.
fn page(text: &str) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Errors</title>\n",
    );
    let mut in_table = false;
    for block in text.split("\n\n") {
        for row in block.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            match cells.as_slice() {
                [rule, ..] if rule.starts_with("---") => continue,
                [code, ..] if code.starts_with('`') => {
                    let _ = write!(page, "<tr id=\"{}\">", plain(code.trim_matches('`')));
                }
                _ => page.push_str("<table>\n<tr>"),
            }
            in_table = true;
            cells.iter().for_each(|cell| {
                let _ = write!(page, "<td>{}</td>", inline(cell));
            });
            page.push_str("</tr>\n");
        }
        if std::mem::take(&mut in_table) {
            page.push_str("</table>\n");
            continue;
        }
        let text = block.split_whitespace().collect::<Vec<_>>().join(" ");
        let (tag, text) = match (text.strip_prefix("# "), text.strip_prefix("## ")) {
            (Some(title), _) => ("h1", title),
            (_, Some(title)) => ("h2", title),
            _ => ("p", text.as_str()),
        };
        let _ = writeln!(page, "<{tag}>{}</{tag}>", inline(text));
    }
    page
}

/// Text with what stands in backticks as code. Links lead to other documents, which the server does not have: what they
/// are called stays.
fn inline(text: &str) -> String {
    let mut shown = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(shown, "<code>{}</code>", plain(piece));
            continue;
        }
        let mut rest = piece;
        while let Some((before, (name, (_, after)))) = rest.split_once('[').and_then(|(before, link)| {
            let (name, target) = link.split_once("](")?;
            Some((before, (name, target.split_once(')')?)))
        }) {
            shown.push_str(&plain(before));
            shown.push_str(&plain(name));
            rest = after;
        }
        shown.push_str(&plain(rest));
    }
    shown
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_an_anchor_and_nothing_is_markup_by_accident() {
        let page = page(
            "# Errors & more\n\nSee [the\nAPI](api.md), `a<b`.\n\n## Fields\n\n| code | next |\n|---|---|\n| `range` | stay <within> |\n",
        );
        for part in [
            "<h1>Errors &amp; more</h1>\n",
            "<p>See the API, <code>a&lt;b</code>.</p>\n<h2>Fields</h2>\n",
            "<table>\n<tr><td>code</td><td>next</td></tr>\n",
            "<tr id=\"range\"><td><code>range</code></td><td>stay &lt;within&gt;</td></tr>\n</table>\n",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn the_page_explains_every_row_of_the_document() {
        let rows = TEXT.lines().filter(|line| line.starts_with("| `")).count();
        assert!(rows > 100, "{rows}");
        assert_eq!(PAGE.matches("<tr id=").count(), rows);
        assert_eq!(PAGE.matches("</table>").count(), PAGE.matches("<table>").count());
    }
}
