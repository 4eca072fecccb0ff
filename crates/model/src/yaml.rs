//! YAML as a tree in which every value knows its place, with every bound enforced while it is read.
//!
//! Scalars stay text: what they mean depends on what a field wants. Tags, merge keys and a second document are refused;
//! aliases are expanded within the bounds of the tree.

mod align;
mod scalar;

use std::collections::HashMap;
use std::sync::Arc;

use align::{align, as_written};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};
use scalar::{is_null, plain};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Place, Position};
use crate::limits::{EXPRESSION_BYTES, FILE_BYTES, FILE_DEPTH, FILE_NODES};
use crate::template::OPENING;
use crate::text::excerpt;

/// One value of a file.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) place: Place,
    /// Values in here, aliases expanded.
    size: usize,
    depth: usize,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Content {
    /// `plain` scalars have no quotes and may therefore mean more than text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// One field of a map.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) position: Position,
    pub(crate) value: Arc<Node>,
}

impl Node {
    pub(crate) fn position(&self) -> Position {
        self.place.position
    }

    /// The value as JSON, where the field does not say what it wants: `null`, `true`, `false` and decimal numbers are
    /// what they look like, everything else is text (`NO`, `010`, `1e3`, `0x1f`, `12:30`).
    pub(crate) fn json(&self) -> Value {
        match &self.content {
            Content::Scalar { text, plain: true } => plain(text),
            Content::Scalar { text, plain: false } => Value::String(text.clone()),
            Content::List(values) => Value::Array(values.iter().map(|value| value.json()).collect()),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.name.clone(), entry.value.json())).collect())
            }
        }
    }

    /// The value at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> Option<&Node> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            node = match &node.content {
                Content::Scalar { .. } => return None,
                Content::List(values) => values.get(name.parse::<usize>().ok()?)?,
                Content::Map(entries) => &entries.iter().find(|entry| entry.name == name)?.value,
            };
        }
        Some(node)
    }

    /// Where the name of the field at a JSON pointer stands; `None` when there is no such field.
    pub(crate) fn key(&self, pointer: &str) -> Option<Position> {
        let (within, name) = pointer.rsplit_once('/')?;
        let name = name.replace("~1", "/").replace("~0", "~");
        match &self.at(within)?.content {
            Content::Map(entries) => {
                entries.iter().find(|entry| entry.name == name).map(|entry| entry.position)
            }
            Content::Scalar { .. } | Content::List(_) => None,
        }
    }

    /// Where the value at a JSON pointer stands; what is missing is reported where it should be.
    pub(crate) fn nearest(&self, pointer: &str) -> Position {
        let mut pointer = pointer;
        loop {
            match self.at(pointer) {
                Some(found) => return found.position(),
                None => pointer = &pointer[..pointer.rfind('/').unwrap_or(0)],
            }
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if is_null(text))
    }
}

/// Whether a field is one by which other formats say their version.
pub(crate) fn is_version(name: &str) -> bool {
    matches!(name, "apiVersion" | "api_version" | "version" | "kind")
}

/// Reads one document.
///
/// The tree is there whenever the file has the form of YAML; it may still come with diagnostics.
pub(crate) fn read(file: &str, text: &str) -> (Option<Arc<Node>>, Vec<Diagnostic>) {
    let refuse =
        |code, message: &str| (None, vec![Diagnostic::new(file, Position::default(), code, message)]);
    if text.len() > FILE_BYTES {
        return refuse("too_large", &format!("the file is larger than {FILE_BYTES} bytes"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    if text.contains('\0') {
        return refuse("encoding", "the file holds U+0000; save it as UTF-8");
    }
    let mut characters: Vec<char> = Vec::with_capacity(text.len());
    characters.extend(text.chars());
    let mut builder = Builder {
        file,
        characters: &characters,
        diagnostics: Vec::new(),
        anchors: HashMap::new(),
        stack: Vec::new(),
        root: None,
    };
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: FILE_DEPTH,
        block_nesting_limit: FILE_DEPTH,
    };
    options.set_emit_comments(false);
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(&text, options) {
        let outcome = match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                if documents > 1 {
                    Err(builder
                        .diagnostic(&span, "one_document", "the file holds a second document")
                        .hint("put each into a file of its own"))
                } else {
                    Ok(())
                }
            }
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(scan_diagnostic(file, &error)),
        };
        if let Err(fatal) = outcome {
            builder.diagnostics.push(fatal);
            return (None, builder.diagnostics);
        }
    }
    let Builder { root, mut diagnostics, .. } = builder;
    match root {
        Some(root) if !root.is_null() => (Some(root), diagnostics),
        _ => {
            diagnostics.push(
                Diagnostic::new(file, Position::default(), "empty", "the file holds nothing")
                    .hint("begin with `scenario: domain/name`, or with `stock:`"),
            );
            (None, diagnostics)
        }
    }
}

struct Builder<'a> {
    file: &'a str,
    characters: &'a [char],
    diagnostics: Vec<Diagnostic>,
    anchors: HashMap<usize, Arc<Node>>,
    stack: Vec<Frame>,
    root: Option<Arc<Node>>,
}

/// A list or a map that is not complete yet.
struct Frame {
    position: Position,
    anchor: usize,
    content: Content,
    key: Option<(String, Position)>,
    seen: HashMap<String, u32>,
    size: usize,
    depth: usize,
}

type Step = Result<(), Diagnostic>;

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                let place = self.place(&text, style, &span);
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar { text: text.into_owned(), plain };
                self.finished(Arc::new(Node { content, place, size: 1, depth: 1 }), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.open(Content::List(Vec::new()), anchor, &span);
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.open(Content::Map(Vec::new()), anchor, &span);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(()) };
                let Frame { position, anchor, content, size, depth, .. } = frame;
                self.finished(Arc::new(Node { content, place: Place::whole(position), size, depth }), anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = Arc::clone(node);
                    self.finished(node, 0)
                }
                None => Err(self.diagnostic(
                    &span,
                    "yaml_budget",
                    "the alias refers to the value that it stands in",
                )),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, content: Content, anchor: usize, span: &Span) {
        self.stack.push(Frame {
            position: self.position(span),
            anchor,
            content,
            key: None,
            seen: HashMap::new(),
            size: 1,
            depth: 1,
        });
    }

    fn finished(&mut self, node: Arc<Node>, anchor: usize) -> Step {
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        let steps = self.in_steps();
        let levels = self.stack.len();
        let Some(frame) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        frame.size += node.size;
        frame.depth = frame.depth.max(node.depth + 1);
        if frame.size > FILE_NODES {
            return Err(Diagnostic::new(
                self.file,
                node.position(),
                "yaml_budget",
                format!("the file has more than {FILE_NODES} values, aliases counted as what they stand for"),
            ));
        }
        if levels + node.depth > FILE_DEPTH {
            return Err(Diagnostic::new(
                self.file,
                node.position(),
                "too_deep",
                format!("the file is nested deeper than {FILE_DEPTH} levels"),
            ));
        }
        match (&mut frame.content, frame.key.take()) {
            (Content::List(values), _) => values.push(node),
            (Content::Map(entries), Some((name, position))) => {
                entries.push(Entry { name, position, value: node });
            }
            (Content::Map(_), None) => {
                let (name, diagnostic) = key(self.file, &node, steps, &frame.seen);
                self.diagnostics.extend(diagnostic);
                frame.seen.entry(name.clone()).or_insert(node.position().line);
                frame.key = Some((name, node.position()));
            }
            (Content::Scalar { .. }, _) => unreachable!("a scalar is never opened"),
        }
        Ok(())
    }

    /// Whether the innermost map is the one under `steps`.
    fn in_steps(&self) -> bool {
        match &self.stack[..] {
            [root, _] => root.key.as_ref().is_some_and(|(name, _)| name == "steps"),
            _ => false,
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: &Span) {
        if tagged {
            let mut position = self.position(&span.tag_span().unwrap_or(*span));
            position.length = position.length.max(1);
            self.diagnostics.push(
                Diagnostic::new(self.file, position, "yaml_tag", "tags (`!…`) are not supported")
                    .hint("remove the tag; quote the value if it is text"),
            );
        }
    }

    fn diagnostic(&self, span: &Span, code: &'static str, message: &str) -> Diagnostic {
        Diagnostic::new(self.file, self.position(span), code, message)
    }

    /// The first line of a span.
    fn position(&self, span: &Span) -> Position {
        let (start, end) = (span.start.index(), span.end.index());
        let stretch = self.characters.get(start..end.max(start)).unwrap_or_default();
        let length = stretch.iter().take_while(|character| **character != '\n').count().max(1);
        Position {
            line: narrow(span.start.line()),
            column: narrow(span.start.col() + 1),
            length: narrow(length),
        }
    }

    fn place(&self, text: &str, style: ScalarStyle, span: &Span) -> Place {
        let position = self.position(span);
        if let Some(quotes) = as_written(self.characters, span, text, style) {
            return Place::row(position, position.column + quotes, text.chars().count());
        }
        // Long text without an expression is never pointed into, and the map would be eight times its size.
        if text.len() > EXPRESSION_BYTES && !text.contains(OPENING) {
            return Place::whole(position);
        }
        Place::mapped(position, align(self.characters, span, text, style))
    }
}

fn key(file: &str, node: &Node, steps: bool, seen: &HashMap<String, u32>) -> (String, Option<Diagnostic>) {
    let refuse = |code, message: String| Some(Diagnostic::new(file, node.position(), code, message));
    let Content::Scalar { text, plain } = &node.content else {
        return (String::new(), refuse("wrong_type", "the name of a field must be text".to_owned()));
    };
    if *plain && text == "<<" {
        let found = refuse("yaml_merge", "merge keys (`<<`) are not supported".to_owned());
        return (text.clone(), found.map(|found| found.hint("write the fields out")));
    }
    let found = seen.get(text).and_then(|line| {
        let code = if steps { "duplicate_step" } else { "duplicate_key" };
        let found = refuse(code, format!("`{}` is already on line {line}", excerpt(text)));
        found.map(|found| found.hint("keep one of the two"))
    });
    (text.clone(), found)
}

fn scan_diagnostic(file: &str, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let position =
        Position { line: narrow(marker.line().max(1)), column: narrow(marker.col() + 1), length: 1 };
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => Diagnostic::new(
            file,
            position,
            "too_deep",
            format!("the file is nested deeper than {FILE_DEPTH} levels"),
        ),
        ErrorKind::AnchorCountOverflow => {
            Diagnostic::new(file, position, "yaml_budget", "the file has too many anchors")
        }
        ErrorKind::DirectiveDisallowed => {
            Diagnostic::new(file, position, "yaml_directive", "directives (`%…`) are not supported")
                .hint("remove the line")
        }
        kind
        @ (ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabNotAllowed) => {
            Diagnostic::new(file, position, "yaml_syntax", kind.to_string()).hint("indent with spaces")
        }
        kind @ (ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement) => {
            Diagnostic::new(file, position, "yaml_syntax", kind.to_string()).hint(
                "put a value in quotes when it holds `: ` or begins with `{`, `[`, `\"`, `*`, `&` or `!`",
            )
        }
        kind => Diagnostic::new(file, position, "yaml_syntax", kind.to_string()),
    }
}

/// Positions beyond four billion cannot occur: the file is bounded.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
