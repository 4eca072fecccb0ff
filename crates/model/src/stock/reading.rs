//! Reading of stock rules: from JSON with pointers, and from files with lines and columns, by the same fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{RuleName, RuleState, StockRule, Window};
use crate::diagnostic::{Diagnostic, Position, sort};
use crate::fault::Fault;
use crate::fields::{Faults, Fields};
use crate::limits::{
    FAULTS_MAX, LINE_BYTES, STOCK_AGE_S, STOCK_CHECK_S, STOCK_INPUT_BYTES, STOCK_PRIORITY, STOCK_RULES,
    STOCK_TARGET, WINDOW_LEAST_S, WINDOW_S,
};
use crate::name::ContractName;
use crate::text::excerpt;
use crate::yaml::{Content, Node, is_version};

/// The priority of a rule that does not say: as many above it as below.
const PRIORITY_DEFAULT: u8 = 50;

const RULE: [&str; 8] =
    ["contract", "input", "target", "max_age_s", "check_every_s", "priority", "paused", "window"];
const WINDOW: [&str; 3] = ["opens", "for_s", "time_zone"];
const EDIT: [&str; 2] = ["target", "state"];

/// A rule as somebody wrote it; not yet held against any contract, nor against the rule that has its name.
#[derive(Debug, Clone)]
pub struct RuleDraft {
    name: RuleName,
    contract: ContractName,
    input: Arc<Value>,
    target: u32,
    max_age_s: Option<u32>,
    check_every_s: Option<u32>,
    priority: u8,
    paused: Option<bool>,
    window: Option<Window>,
}

impl RuleDraft {
    /// Reads a rule, or says everything that is wrong with it; pointers lead into `document`.
    ///
    /// `now` tells whether its window will ever open.
    pub fn read(name: RuleName, document: &Value, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let draft = read_rule(name, document, now, &mut faults);
        faults.truncate(FAULTS_MAX);
        draft.filter(|_| faults.is_empty()).ok_or(faults)
    }

    /// What the rule is called.
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// What it keeps in stock.
    pub fn contract(&self) -> &ContractName {
        &self.contract
    }

    /// The rule, in place of the one that has its name. A draft that does not say whether it is paused leaves that as it
    /// is, so that a rule which somebody has paused is not resumed by putting its file again.
    pub fn into_rule(self, before: Option<&StockRule>) -> StockRule {
        let state = match self.paused {
            Some(true) => RuleState::Paused,
            Some(false) => RuleState::Active,
            None => before.map(|before| before.state).unwrap_or_default(),
        };
        StockRule {
            name: self.name,
            contract: self.contract,
            input: self.input,
            target: self.target,
            max_age_s: self.max_age_s,
            check_every_s: self.check_every_s,
            priority: self.priority,
            state,
            window: self.window,
        }
    }
}

/// What a person changes about a rule while it is at work; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleEdit {
    /// How many are to be kept ready.
    pub target: Option<u32>,
    /// Whether it is to be refilled.
    pub state: Option<RuleState>,
}

impl RuleEdit {
    /// Reads an edit, or says everything that is wrong with it; pointers lead into `document`.
    pub fn read(document: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let known: Vec<&str> = EDIT.into_iter().chain(RULE).collect();
        let Some(fields) = Fields::open(document, "", &known, &mut faults) else { return Err(faults) };
        for name in RULE.into_iter().filter(|name| !EDIT.contains(name) && fields.optional(name).is_some()) {
            let message = match name {
                "paused" => {
                    "cannot be edited: say `\"state\": \"paused\"` or `\"state\": \"active\"`".to_owned()
                }
                _ => "cannot be edited while the rule is at work: put the whole rule instead".to_owned(),
            };
            faults.push(Fault::new(fields.at(name), "immutable", message));
        }
        let target = fields.integer("target", 1..=STOCK_TARGET, &mut faults).map(small);
        let names = RuleState::ALL.map(|(_, name)| name);
        let state = fields.word("state", &names, &mut faults).and_then(RuleState::from_name);
        if faults.is_empty() { Ok(Self { target, state }) } else { Err(faults) }
    }
}

/// A file of rules as it is written.
#[derive(Debug)]
pub struct StockFile {
    file: String,
    rules: BTreeMap<RuleName, Placed>,
    /// What could be read of the other rules.
    sketches: Vec<Sketch>,
}

/// A rule of which something could not be read, as far as it can be held against the catalogue.
#[derive(Debug)]
pub struct Sketch {
    rule: StockRule,
    /// Whether its input could be read.
    has_input: bool,
    at: Position,
    node: Arc<Node>,
}

impl Sketch {
    fn read(name: RuleName, (node, at): (&Arc<Node>, Position)) -> Option<Self> {
        let (document, mut told) = (node.json(), Faults::new());
        let fields = Fields::open(&document, "", &RULE, &mut told)?;
        let contract = read_contract(&fields, &mut told)?;
        let input = read_input(&fields, &mut told);
        let has_input = input.is_some();
        let rule = StockRule {
            name,
            contract,
            input: input.unwrap_or_else(|| Arc::new(Value::Object(Map::new()))),
            target: 1,
            max_age_s: None,
            check_every_s: None,
            priority: PRIORITY_DEFAULT,
            state: RuleState::Active,
            window: None,
        };
        Some(Self { rule, has_input, at, node: Arc::clone(node) })
    }

    /// The rule, with what could not be read left out.
    pub fn rule(&self) -> &StockRule {
        &self.rule
    }
}

#[derive(Debug)]
struct Placed {
    draft: RuleDraft,
    at: Position,
    node: Arc<Node>,
}

impl StockFile {
    /// The rules by name.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &RuleDraft> {
        self.rules.values().map(|placed| &placed.draft)
    }

    /// What is wrong with one of the rules, where it stands in the file.
    pub fn diagnostics(&self, rule: &RuleName, faults: &[Fault]) -> Vec<Diagnostic> {
        let Some(placed) = self.rules.get(rule) else { return Vec::new() };
        faults.iter().map(|fault| diagnostic(&self.file, &placed.node, placed.at, fault)).collect()
    }

    /// What could be read of rules of which not everything could.
    pub fn sketches(&self) -> &[Sketch] {
        &self.sketches
    }

    /// What is wrong with such a rule beside what was told when it was read, where it stands in the file.
    pub fn sketch_diagnostics(&self, sketch: &Sketch, faults: &[Fault]) -> Vec<Diagnostic> {
        let known = |fault: &&Fault| sketch.has_input || !fault.pointer.starts_with("/input");
        let placed = |fault: &Fault| diagnostic(&self.file, &sketch.node, sketch.at, fault);
        faults.iter().filter(known).map(placed).collect()
    }

    /// A rule that stands in another file as well.
    pub fn duplicate(&self, rule: &RuleName, other: &str) -> Diagnostic {
        let at = self.rules.get(rule).map_or_else(Position::default, |placed| placed.at);
        let message = format!("the stock rule {rule} is also in {}", excerpt(other));
        Diagnostic::new(&self.file, at, "duplicate_rule", message).hint("keep one of the two")
    }
}

/// Reads a file that is a tree already, with what was wrong with it as YAML. What could be read is there also when
/// something is wrong.
pub(crate) fn read_tree(
    file: &str,
    tree: &Node,
    mut diagnostics: Vec<Diagnostic>,
    now: Timestamp,
) -> (StockFile, Vec<Diagnostic>) {
    let mut read = StockFile { file: file.to_owned(), rules: BTreeMap::new(), sketches: Vec::new() };
    let entries = match &tree.content {
        Content::Map(entries) => entries.as_slice(),
        Content::Scalar { .. } | Content::List(_) => &[],
    };
    for entry in entries {
        let shown = excerpt(&entry.name);
        let refuse = |code, message: String| Diagnostic::new(file, entry.position, code, message);
        match entry.name.as_str() {
            "stock" => read_rules(&mut read, &entry.value, now, &mut diagnostics),
            // Told when the file was read as YAML.
            "<<" | "" => {}
            name if is_version(name) => diagnostics.push(
                refuse("unsupported_version", format!("`{shown}` is unknown: stock files carry no version"))
                    .hint("remove it; there is one format so far"),
            ),
            _ => diagnostics.push(
                refuse("unknown_field", format!("a stock file has no field `{shown}`"))
                    .hint("a rule stands under `stock:`, two spaces further in"),
            ),
        }
    }
    sort(&mut diagnostics);
    (read, diagnostics)
}

fn read_rules(read: &mut StockFile, node: &Node, now: Timestamp, diagnostics: &mut Vec<Diagnostic>) {
    let StockFile { file, rules, sketches } = read;
    let file: &str = file;
    let mut refuse = |at, code, message: &str, hint: &str| {
        diagnostics.push(Diagnostic::new(file, at, code, message).hint(hint));
    };
    let Content::Map(entries) = &node.content else {
        let hint = "write `name: { contract: domain/name, target: 10 }` for each rule";
        return refuse(node.position(), "wrong_type", "stock rules by name are expected here", hint);
    };
    if entries.is_empty() {
        refuse(node.position(), "empty", "there is no rule here", "name a rule, or remove the file");
    }
    if entries.len() > STOCK_RULES {
        let message = format!("{} rules; at most {STOCK_RULES} are allowed", entries.len());
        refuse(node.position(), "limit", &message, "one rule can keep many datasets: raise its target");
    }
    // Beyond the limit nothing is looked at, so that a huge file costs no more than a large one.
    for entry in entries.iter().take(STOCK_RULES).filter(|entry| !matches!(entry.name.as_str(), "" | "<<")) {
        let name: RuleName = match entry.name.parse() {
            Ok(name) => name,
            Err(error) => {
                diagnostics.push(
                    Diagnostic::new(file, entry.position, "bad_name", format!("{error}"))
                        .hint("choose another name"),
                );
                continue;
            }
        };
        let (node, at) = (Arc::clone(&entry.value), entry.position);
        match RuleDraft::read(name.clone(), &node.json(), now) {
            Ok(draft) => drop(rules.insert(name, Placed { draft, at, node })),
            Err(faults) => {
                diagnostics.extend(faults.iter().map(|fault| diagnostic(file, &node, at, fault)));
                sketches.extend(Sketch::read(name, (&node, at)));
            }
        }
    }
}

fn read_rule(name: RuleName, document: &Value, now: Timestamp, faults: &mut Faults) -> Option<RuleDraft> {
    let fields = Fields::open(document, "", &RULE, faults)?;
    for name in ["contract", "target"] {
        fields.required(name, faults);
    }
    let contract = read_contract(&fields, faults);
    let input = read_input(&fields, faults);
    let target = fields.integer("target", 1..=STOCK_TARGET, faults).map(small);
    let max_age_s = fields.integer("max_age_s", 1..=STOCK_AGE_S, faults).map(small);
    let check_every_s = fields.integer("check_every_s", 1..=STOCK_CHECK_S, faults).map(small);
    if let (Some(age), Some(check)) = (max_age_s, check_every_s)
        && check > age
    {
        let message = format!(
            "is {check}, longer than the {age} of \"max_age_s\": no dataset would stay long enough to be checked"
        );
        faults.push(Fault::new(fields.at("check_every_s"), "range", message));
    }
    let priority = fields.integer("priority", 0..=STOCK_PRIORITY, faults);
    let priority = priority.and_then(|priority| u8::try_from(priority).ok()).unwrap_or(PRIORITY_DEFAULT);
    let paused = fields.boolean("paused", faults);
    let window = fields.optional("window").map(|window| read_window(window, now, faults));
    Some(RuleDraft {
        name,
        contract: contract?,
        input: input?,
        target: target?,
        max_age_s,
        check_every_s,
        priority,
        paused,
        window: window.flatten(),
    })
}

fn read_contract(fields: &Fields<'_>, faults: &mut Faults) -> Option<ContractName> {
    let text = fields.line("contract", LINE_BYTES, faults)?;
    let name = text.parse().map_err(|error| {
        faults.push(Fault::new(fields.at("contract"), "name_pattern", format!("{error}")));
    });
    name.ok()
}

fn read_input(fields: &Fields<'_>, faults: &mut Faults) -> Option<Arc<Value>> {
    let Some(input) = fields.optional("input") else { return Some(Arc::new(Value::Object(Map::new()))) };
    let fault = match input {
        Value::Object(_) => match input.to_string().len() {
            bytes if bytes <= STOCK_INPUT_BYTES => return Some(Arc::new(input.clone())),
            bytes => {
                let message = format!("has {bytes} bytes; at most {STOCK_INPUT_BYTES} bytes are allowed");
                Fault::new(fields.at("input"), "too_long", message)
            }
        },
        _ => Fault::new(fields.at("input"), "type", "is not an object"),
    };
    faults.push(fault);
    None
}

fn read_window(document: &Value, now: Timestamp, faults: &mut Faults) -> Option<Window> {
    let fields = Fields::open(document, "/window", &WINDOW, faults)?;
    for name in WINDOW {
        fields.required(name, faults);
    }
    let opens = fields.line("opens", LINE_BYTES, faults);
    let for_s = fields.integer("for_s", WINDOW_LEAST_S..=WINDOW_S, faults).map(small);
    let time_zone = fields.line("time_zone", LINE_BYTES, faults);
    // Whatever is there is looked at, so that all faults are told together.
    let stand_in = |text: &Option<String>, usual: &str| text.clone().unwrap_or_else(|| usual.to_owned());
    let window =
        Window::new(stand_in(&opens, "0 0 * * *"), for_s.unwrap_or_default(), stand_in(&time_zone, "UTC"));
    faults.extend(window.faults().iter().cloned().map(|fault| fault.under("/window")));
    faults.extend(window.check_opens(now).err().map(|fault| fault.under("/window")));
    (opens.is_some() && for_s.is_some() && time_zone.is_some()).then_some(window)
}

/// The fault of a rule, where it stands in the file.
fn diagnostic(file: &str, rule: &Node, at: Position, fault: &Fault) -> Diagnostic {
    let place = match fault.pointer.as_str() {
        "" => rule.position(),
        // What is missing is missing in the rule, or in its window.
        pointer if fault.code == "required" && rule.at(pointer).is_none() => match parent(pointer) {
            "" => at,
            parent => rule.nearest(parent),
        },
        pointer if fault.code == "unknown_field" => rule.key(pointer).unwrap_or(at),
        pointer => rule.nearest(pointer),
    };
    let field = fault.pointer.trim_start_matches('/').replace('/', ".");
    let message = match fault.code {
        // These name their field themselves.
        "required" | "unknown_field" | "unknown_contract" | "contract_broken" => fault.message.clone(),
        _ if field.is_empty() => format!("the rule {}", fault.message),
        _ => format!("`{}`: {}", excerpt(&field), fault.message),
    };
    let found = Diagnostic::new(file, place, fault.code, message);
    match hint(fault) {
        Some(hint) => found.hint(hint),
        None => found,
    }
}

fn parent(pointer: &str) -> &str {
    &pointer[..pointer.rfind('/').unwrap_or(0)]
}

/// What to do about it, where the message does not say so itself.
fn hint(fault: &Fault) -> Option<&'static str> {
    let hint = match fault.code {
        "required" => "add it",
        "unknown_field" => "correct the name, or remove the field",
        "range" if fault.message.ends_with("is allowed") => "choose a number in that range",
        "range" => "check more often, or keep the datasets for longer",
        "unknown_contract" => "`sixpack contracts` lists what there is",
        "name_pattern" => "write it as `domain/name`",
        "cron" => "as in `0 6 * * 1-5`: at six, from Monday to Friday",
        "cron_never" => "`L` is the last day of a month",
        "time_zone" => "as in `Europe/Prague`",
        "type" => "text may stand in quotes; numbers, true and false must not",
        "too_long" => "make it shorter",
        _ if fault.pointer.starts_with("/input") => "`sixpack contracts show` tells what the contract takes",
        _ => return None,
    };
    Some(hint)
}

/// Every bound of a rule fits.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
