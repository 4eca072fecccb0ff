//! Whether every value of one schema is a value of another, as far as that can be proven.
//!
//! What goes *from* a schema must fit *to* the other. Consumers send what the old input accepts, so it must fit the new
//! one; they receive what the new output promises, so that must fit the old one. One thing is looser than logic on
//! purpose: a property that nobody declared so far may be added on both sides.

use serde_json::Value;

use crate::fault::join;
use crate::schema::{Schema, canonical, canonical_json};
use crate::text::{excerpt, quoted};

use super::Change;
use super::bounds::{bound_holds, concerns, disjoint_values, few_values, values_satisfy};
use super::flat::Flat;

/// What the schemas describe, which decides in which direction values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What consumers send: from the old schema to the new.
    Input,
    /// What consumers receive: from the new schema to the old.
    Output,
}

/// What a comparison found.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) breaks: Vec<Change>,
    pub(super) notes: Vec<Change>,
}

impl Findings {
    /// Adds a change that breaks.
    pub(super) fn breaks(&mut self, pointer: &str, message: &str) {
        if self.breaks.len() < CHANGES {
            self.breaks.push(Change { pointer: pointer.to_owned(), message: message.to_owned() });
        }
    }

    /// Adds a change that breaks nothing.
    pub(super) fn note(&mut self, pointer: &str, message: &str) {
        let note = Change { pointer: pointer.to_owned(), message: message.to_owned() };
        if self.notes.len() < CHANGES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Changes that are told: nobody reads more.
const CHANGES: usize = 50;

/// Pairs of schemas that are compared before the two count as too intricate: alternatives are tried one by one.
const COMPARISONS: usize = 20_000;

/// Levels of values that are followed: as deep as an instance may be.
const LEVELS: usize = crate::limits::INSTANCE_DEPTH;

/// Compares two versions of one schema.
pub(super) fn compare(side: Side, at: &str, (old, new): (&Schema, &Schema), findings: &mut Findings) {
    if old == new {
        return;
    }
    let (from, to) = match side {
        Side::Input => (old.document(), new.document()),
        Side::Output => (new.document(), old.document()),
    };
    let mut comparison = Comparison {
        side,
        from,
        to,
        shared: shared_definitions(from, to),
        open: Vec::new(),
        left: COMPARISONS,
    };
    comparison.fits(from, to, at, findings);
}

struct Comparison<'a> {
    side: Side,
    from: &'a Value,
    to: &'a Value,
    /// True when a reference means the same in both documents.
    shared: bool,
    /// Pairs under comparison; one that is met again holds if everything else does.
    open: Vec<(*const Value, *const Value)>,
    left: usize,
}

static EVERYTHING: Value = Value::Bool(true);

impl<'a> Comparison<'a> {
    fn fits(&mut self, from: &'a Value, to: &'a Value, at: &str, findings: &mut Findings) {
        let pair = (std::ptr::from_ref(from), std::ptr::from_ref(to));
        if self.open.contains(&pair) || self.same(from, to) {
            return;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.open.len() > LEVELS {
            return findings.breaks(at, TOO_INTRICATE);
        }
        let (Some(from), Some(to)) = (Flat::of(self.from, from), Flat::of(self.to, to)) else {
            return findings.breaks(at, TOO_INTRICATE);
        };
        self.open.push(pair);
        self.marks_stay(&from, &to, at, findings);
        self.flat_fits(&from, &to, at, findings);
        self.open.pop();
    }

    fn flat_fits(&mut self, from: &Flat<'a>, to: &Flat<'a>, at: &str, findings: &mut Findings) {
        if from.never || to.accepts_all() {
            return;
        }
        if to.never {
            return findings
                .breaks(at, self.say("nothing is accepted here any more", "something may be here now"));
        }
        let alternatives = |flat: &Flat<'a>| {
            let found = ["anyOf", "oneOf"].into_iter().find(|keyword| flat.keywords.contains_key(keyword));
            found.and_then(|keyword| Some((keyword, flat.keywords[keyword].as_array()?)))
        };
        if let (Some((from_kind, from_list)), Some((to_kind, to_list))) =
            (alternatives(from), alternatives(to))
            && from_kind == to_kind
            && from_list.len() == to_list.len()
            && from_list.iter().zip(to_list).all(|(from, to)| self.same(from, to))
        {
            return self.flat_fits(&from.without(&[from_kind]), &to.without(&[to_kind]), at, findings);
        }
        if let Some((kind, list)) = alternatives(from) {
            for (index, branch) in list.iter().enumerate() {
                match from.without(&[kind]).and(self.from, branch) {
                    Some(one) => self.flat_fits(&one, to, &alternative(at, list, index), findings),
                    None => findings.breaks(at, TOO_INTRICATE),
                }
            }
            return;
        }
        if let Some((kind, list)) = alternatives(to) {
            self.flat_fits(from, &to.without(&[kind]), at, findings);
            return self.one_alternative_fits(from, kind, list, at, findings);
        }
        self.keywords_fit(from, to, at, findings);
        if from.types().contains("object") {
            self.object_fits(from, to, at, findings);
        }
        if from.types().contains("array") {
            self.items_fit(from, to, at, findings);
        }
    }

    /// Some alternative must take all of it; with `oneOf`, no other may take any of it.
    fn one_alternative_fits(
        &mut self,
        from: &Flat<'a>,
        kind: &str,
        list: &'a [Value],
        at: &str,
        findings: &mut Findings,
    ) {
        let mut nearest: Option<Findings> = None;
        for (index, branch) in list.iter().enumerate() {
            let mut tried = Findings::default();
            match Flat::of(self.to, branch) {
                Some(branch) => self.flat_fits(from, &branch, &alternative(at, list, index), &mut tried),
                None => tried.breaks(at, TOO_INTRICATE),
            }
            let others = || list.iter().enumerate().filter(|(other, _)| *other != index);
            if tried.breaks.is_empty()
                && kind == "oneOf"
                && !others().all(|(_, other)| self.disjoint(from, other))
            {
                tried.breaks(at, "several alternatives may fit now, and only one may");
            }
            if tried.breaks.is_empty() {
                return tried.notes.iter().for_each(|note| findings.note(&note.pointer, &note.message));
            }
            if nearest.as_ref().is_none_or(|nearest| tried.breaks.len() < nearest.breaks.len()) {
                nearest = Some(tried);
            }
        }
        match nearest.filter(|_| list.len() == 1 || from.keywords.contains_key("type")) {
            Some(nearest) => {
                for change in &nearest.breaks {
                    findings.breaks(&change.pointer, &change.message);
                }
            }
            None => findings.breaks(
                at,
                self.say(
                    "an alternative is no longer accepted",
                    "there is an alternative that was not there before",
                ),
            ),
        }
    }

    /// True when no value can satisfy both; types, listed values, or those of a property that both require differ.
    fn disjoint(&self, from: &Flat<'a>, other: &'a Value) -> bool {
        let Some(other) = Flat::of(self.to, other) else { return false };
        if other.never || disjoint_values(from, &other) {
            return true;
        }
        from.types().iter().chain(&other.types()).all(|one| *one == "object")
            && from.required.intersection(&other.required).any(|name| {
                let schemas = (from.properties.get(name), other.properties.get(name));
                let (Some(from), Some(other)) = schemas else { return false };
                match (Flat::of(self.from, from), Flat::of(self.to, other)) {
                    (Some(from), Some(other)) => disjoint_values(&from, &other),
                    _ => false,
                }
            })
    }

    fn keywords_fit(&mut self, from: &Flat<'a>, to: &Flat<'a>, at: &str, findings: &mut Findings) {
        for (keyword, value) in &to.keywords {
            if STRUCTURE.contains(keyword) || !concerns(keyword, from) {
                continue;
            }
            let broken = match *keyword {
                "type" => self.types_left_out(from, to),
                "enum" | "const" => self.values_left_out(from, to),
                keyword => {
                    let proven = from.keywords.get(keyword).is_some_and(|own| self.same(own, value))
                        || bound_holds(from, keyword, value)
                        || values_satisfy(from, keyword, value);
                    (!proven)
                        .then(|| self.keyword_changed(keyword, from.keywords.get(keyword).copied(), value))
                }
            };
            if let Some(message) = broken {
                findings.breaks(&join(at, keyword), &message);
            }
        }
    }

    fn types_left_out(&self, from: &Flat<'a>, to: &Flat<'a>) -> Option<String> {
        let allowed = to.types();
        let fits = |one: &&str| allowed.contains(one) || (*one == "integer" && allowed.contains("number"));
        let left_out: Vec<&str> = from.types().into_iter().filter(|one| !fits(one)).collect();
        let names = left_out.join(", ");
        (!left_out.is_empty()).then(|| match self.side {
            Side::Input => format!("the type {names} is no longer accepted"),
            Side::Output => format!("the type {names} is possible now"),
        })
    }

    fn values_left_out(&self, from: &Flat<'a>, to: &Flat<'a>) -> Option<String> {
        let allowed: Vec<String> = to.values()?.into_iter().map(canonical_json).collect();
        let Some(values) = from.values().or_else(|| few_values(from)) else {
            let message = self.say(
                "only listed values are accepted now",
                "any value is possible now, not only those listed",
            );
            return Some(message.to_owned());
        };
        let left_out: Vec<String> = values
            .into_iter()
            .filter(|value| !allowed.contains(&canonical_json(value)))
            .map(|value| excerpt(&value.to_string()))
            .collect();
        let names = left_out.join(", ");
        (!left_out.is_empty()).then(|| match self.side {
            Side::Input => format!("{names} is no longer accepted"),
            Side::Output => format!("{names} is possible now"),
        })
    }

    fn keyword_changed(&self, keyword: &str, from: Option<&Value>, to: &Value) -> String {
        let show = |value: &Value| match value {
            Value::Object(_) | Value::Array(_) => "another form".to_owned(),
            scalar => excerpt(&scalar.to_string()),
        };
        let (from, to) = (from.map_or_else(|| "nothing".to_owned(), show), show(to));
        let (old, new) = match self.side {
            Side::Input => (from, to),
            Side::Output => (to, from),
        };
        let effect = self.say("may refuse what was accepted", "may allow what was not possible");
        format!("`{keyword}` changed from {old} to {new}, which {effect}")
    }

    fn object_fits(&mut self, from: &Flat<'a>, to: &Flat<'a>, at: &str, findings: &mut Findings) {
        let inner = join(at, "properties");
        for name in to.required.difference(&from.required) {
            // Defaults are filled in before an input is looked at: such a property is never missing.
            let filled = to.properties.get(name).and_then(|schema| Flat::of(self.to, schema)?.default);
            if self.side == Side::Output || filled.is_none() {
                let message = self.say("is required now", "is no longer always there");
                findings.breaks(&join(&inner, name), message);
            }
        }
        for (name, schema) in &to.properties {
            let at = join(&inner, name);
            match (from.properties.get(name), self.side) {
                (Some(own), _) => self.fits(own, schema, &at, findings),
                (None, Side::Output) => findings.breaks(&at, "is no longer declared"),
                (None, Side::Input) => {
                    if let Some(own @ Value::Object(_)) = from.keywords.get("additionalProperties") {
                        self.fits(own, schema, &at, findings);
                    }
                    if !to.required.contains(name) {
                        findings.note(&at, "a new optional property");
                    }
                }
            }
        }
        let rest = to.keywords.get("additionalProperties").copied();
        let closed = to.keywords.contains_key("unevaluatedProperties")
            || to.keywords.contains_key("patternProperties");
        for (name, own) in from.properties.iter().filter(|(name, _)| !to.properties.contains_key(**name)) {
            let at = join(&inner, name);
            match (self.side, rest) {
                (Side::Output, _) => findings.note(&at, "a new property"),
                (Side::Input, Some(schema @ Value::Object(_))) if !closed => {
                    self.fits(own, schema, &at, findings);
                }
                (Side::Input, None | Some(Value::Bool(true))) if !closed => {
                    findings.note(&at, "no longer declared; it is accepted and ignored");
                }
                (Side::Input, _) => findings.breaks(&at, "is no longer accepted"),
            }
        }
        self.rest_fits(from, rest, at, findings);
    }

    /// All other properties. A consumer that receives some it does not know leaves them alone, unless they are described.
    fn rest_fits(&mut self, from: &Flat<'a>, rest: Option<&'a Value>, at: &str, findings: &mut Findings) {
        let own = from.keywords.get("additionalProperties").copied().unwrap_or(&EVERYTHING);
        let at = join(at, "additionalProperties");
        match (self.side, rest) {
            (_, None | Some(Value::Bool(true))) | (Side::Output, Some(Value::Bool(false))) => {}
            (Side::Input, Some(Value::Bool(false))) => {
                if *own != Value::Bool(false) {
                    findings.breaks(&at, "other properties are no longer accepted");
                }
            }
            (_, Some(schema)) => self.fits(own, schema, &at, findings),
        }
    }

    fn items_fit(&mut self, from: &Flat<'a>, to: &Flat<'a>, at: &str, findings: &mut Findings) {
        let places = |flat: &Flat<'a>| -> &'a [Value] {
            flat.keywords.get("prefixItems").and_then(|places| places.as_array()).map_or(&[], Vec::as_slice)
        };
        let rest = |flat: &Flat<'a>| flat.keywords.get("items").copied().unwrap_or(&EVERYTHING);
        let (from_places, to_places) = (places(from), places(to));
        for index in 0..from_places.len().max(to_places.len()) {
            let own = from_places.get(index).unwrap_or(rest(from));
            let other = to_places.get(index).unwrap_or(rest(to));
            self.fits(own, other, &format!("{at}/prefixItems/{index}"), findings);
        }
        self.fits(rest(from), rest(to), &join(at, "items"), findings);
    }

    /// What is left open means the same as before, and what could be searched for still can.
    fn marks_stay(&self, from: &Flat<'a>, to: &Flat<'a>, at: &str, findings: &mut Findings) {
        let (old, new) = match self.side {
            Side::Input => (from, to),
            Side::Output => (to, from),
        };
        if self.side == Side::Input
            && let Some(default) = old.default
            && new.default.map(canonical_json) != Some(canonical_json(default))
        {
            let was = excerpt(&default.to_string());
            let is = new.default.map_or_else(|| "nothing".to_owned(), |is| excerpt(&is.to_string()));
            let message =
                format!("the default changed from {was} to {is}: who leaves it open gets something else");
            findings.breaks(&join(at, "default"), &message);
        }
        if let Some(kind) = old.entity
            && new.entity != Some(kind)
        {
            findings.breaks(&join(at, "x-entity"), &format!("is no longer the key of a {}", quoted(kind)));
        }
    }

    /// Written alike, and meaning the same in both documents.
    fn same(&self, from: &Value, to: &Value) -> bool {
        let text = canonical(from);
        (self.shared || !text.contains("\"$ref\"")) && text == canonical(to)
    }

    fn say(&self, input: &'static str, output: &'static str) -> &'static str {
        match self.side {
            Side::Input => input,
            Side::Output => output,
        }
    }
}

const TOO_INTRICATE: &str = "changed, and is too intricate to prove that nothing breaks";

/// Keywords that are compared by what they describe, not by themselves.
const STRUCTURE: [&str; 5] = ["additionalProperties", "anyOf", "oneOf", "items", "prefixItems"];

fn alternative(at: &str, list: &[Value], index: usize) -> String {
    if list.len() == 1 { at.to_owned() } else { format!("{at}/{index}") }
}

/// True when a reference means the same in both: the definitions are the same, and refer to nothing else.
fn shared_definitions(from: &Value, to: &Value) -> bool {
    let definitions = |document: &Value| {
        ["$defs", "definitions"].map(|keyword| document.get(keyword).map(canonical).unwrap_or_default())
    };
    let texts = definitions(from);
    let closed = |text: &String| {
        text.match_indices("\"$ref\":\"").all(|(start, mark)| {
            let target = &text[start + mark.len()..];
            target.starts_with("#/$defs/") || target.starts_with("#/definitions/")
        })
    };
    texts == definitions(to) && texts.iter().all(closed)
}
