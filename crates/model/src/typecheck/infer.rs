//! Inference: the type of an expression, and everything in it that can never work.

mod calls;

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::static_type::{Inside, Kinds, Selected, Type, meant, same};
use crate::expression::syntax::{Kind, Literal, Node, Operator, Root};
use crate::text::excerpt;

/// What an expression may read, and what is known about it.
pub(super) struct Surroundings<'a> {
    pub(super) input: Type,
    /// The output of each step.
    pub(super) steps: &'a HashMap<String, Type>,
    /// The facts of each step; only invariants have them.
    pub(super) facts: Option<&'a HashMap<String, Type>>,
    /// Every name under `steps`, also of steps about which nothing is known.
    pub(super) names: &'a [String],
    /// The value of a `for_each` step.
    pub(super) each: Option<Type>,
    /// Steps that are known not to be skipped here.
    pub(super) present: Vec<String>,
}

/// Something that can never work, and in which bytes of the expression.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) range: Range<usize>,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The type of an expression.
pub(super) fn infer(root: &Node, surroundings: &Surroundings<'_>) -> (Type, Vec<Finding>) {
    let mut inference = Inference {
        surroundings,
        present: surroundings.present.clone(),
        locals: Vec::new(),
        findings: Vec::new(),
    };
    let found = inference.node(root);
    (found, inference.findings)
}

/// The steps that are certainly there when the expression is `outcome`.
pub(super) fn guarded(node: &Node, outcome: bool) -> Vec<String> {
    let present = |node: &Node| node.step().map(|(_, name)| name.to_string());
    match &node.kind {
        Kind::Binary(operator @ (Operator::Equal | Operator::Unequal), left, right)
            if (*operator == Operator::Unequal) == outcome =>
        {
            match (&left.kind, &right.kind) {
                (Kind::Select(..), Kind::Literal(Literal::Null)) => present(left).into_iter().collect(),
                (Kind::Literal(Literal::Null), Kind::Select(..)) => present(right).into_iter().collect(),
                _ => Vec::new(),
            }
        }
        Kind::Has(of, _) if outcome => present(of).into_iter().collect(),
        Kind::Not(of) => guarded(of, !outcome),
        Kind::And(parts) if outcome => parts.iter().flat_map(|part| guarded(part, true)).collect(),
        Kind::Or(parts) if !outcome => parts.iter().flat_map(|part| guarded(part, false)).collect(),
        _ => Vec::new(),
    }
}

struct Inference<'a> {
    surroundings: &'a Surroundings<'a>,
    present: Vec<String>,
    locals: Vec<Type>,
    findings: Vec<Finding>,
}

impl Inference<'_> {
    fn node(&mut self, node: &Node) -> Type {
        match &node.kind {
            Kind::Literal(literal) => Type::of_value(&constant(literal)),
            Kind::Root(root) => self.variable(node, *root),
            Kind::Local(slot) => self.locals[*slot].clone(),
            Kind::Select(of, name) => match node.step() {
                Some((root, name)) => self.step(node, root, name),
                None => self.select(node, of, name),
            },
            Kind::Has(of, name) => {
                self.select(node, of, name);
                Type::of_kinds(Kinds::BOOL)
            }
            Kind::Index(of, index) => self.index(node, of, index),
            Kind::Not(of) => {
                self.condition(of);
                Type::of_kinds(Kinds::BOOL)
            }
            Kind::Negate(of) => {
                let found = self.node(of);
                self.expect(of, &found, Kinds::NUMBER, "`-` takes a number");
                Type { secret: found.secret, ..Type::of_kinds(numeric(found.kinds)) }
            }
            Kind::And(parts) => self.junction(parts, true),
            Kind::Or(parts) => self.junction(parts, false),
            Kind::Binary(operator, left, right) => self.binary(node, *operator, left, right),
            Kind::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                self.condition(condition);
                let then = self.knowing(guarded(condition, true), |inference| inference.node(then));
                let otherwise =
                    self.knowing(guarded(condition, false), |inference| inference.node(otherwise));
                then.or(otherwise)
            }
            Kind::List(parts) => {
                let elements: Vec<Type> = parts.iter().map(|part| self.node(part)).collect();
                Type::list(elements.into_iter().reduce(Type::or).unwrap_or_else(Type::any))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Call(function, arguments, _) => self.call(*function, arguments),
            Kind::Comprehension(inner) => self.comprehension(inner),
        }
    }

    fn variable(&mut self, node: &Node, root: Root) -> Type {
        match (root, &self.surroundings.each) {
            (Root::Input, _) => self.surroundings.input.clone(),
            (Root::EachValue, Some(each)) => each.clone(),
            (Root::EachIndex, Some(_)) => Type::of_kinds(Kinds::INTEGER),
            (Root::EachValue | Root::EachIndex, None) => {
                let message = "`each` exists only in `with` of a step that has `for_each`";
                self.report(node, "unknown_variable", message, "add `for_each`, or use `input` or `steps`");
                Type::any()
            }
            // The parser lets neither stand without the name of a step.
            (Root::Steps | Root::Facts, _) => Type::any(),
        }
    }

    fn step(&mut self, node: &Node, root: Root, name: &str) -> Type {
        let known = match root {
            Root::Facts => {
                let Some(facts) = self.surroundings.facts else {
                    let message = "facts are there only in `invariants`: they are read after all steps";
                    self.report(node, "unknown_variable", message, "use the output of the step, `steps.…`");
                    return Type::any();
                };
                facts
            }
            _ => self.surroundings.steps,
        };
        if !self.surroundings.names.iter().any(|other| other == name) {
            let hint = meant(name, self.surroundings.names, "steps");
            self.report(node, "unknown_step", format!("there is no step `{}`", excerpt(name)), hint);
            return Type::any();
        }
        let mut found = known.get(name).cloned().unwrap_or_else(Type::any);
        if found.skipped.is_some() && self.present.iter().any(|present| present == name) {
            found.skipped = None;
            found.kinds = found.kinds.without(Kinds::NULL);
        }
        self.checked(node, found)
    }

    fn checked(&mut self, node: &Node, found: Type) -> Type {
        let Some(contract) = &found.unchecked else { return found };
        let message = format!("`{contract}` has no `check`, so there are no facts of it");
        self.report(
            node,
            "unchecked_facts",
            message,
            "ask its owner for a `check`, or use the output of the step, `steps.…`",
        );
        Type::any()
    }

    fn select(&mut self, node: &Node, of: &Node, name: &str) -> Type {
        let found = self.node(of);
        match found.select(name) {
            Selected::Known(field) => self.checked(node, field),
            Selected::Missing(names) => {
                let message = format!("there is no field `{}`", excerpt(name));
                self.report(node, "unknown_field", message, meant(name, &names, "fields"));
                Type::any()
            }
            Selected::NoFields => {
                let message = format!("{} has no field `{}`", found.kinds.words(), excerpt(name));
                let hint = if found.kinds.meets(Kinds::LIST) {
                    "a step with `for_each` is a list: write `[0]`, or `.map(one, one.…)`"
                } else {
                    "remove the field"
                };
                self.report(node, "unknown_field", message, hint);
                Type::any()
            }
        }
    }

    fn index(&mut self, node: &Node, of: &Node, index: &Node) -> Type {
        let (list, position) = (self.node(of), self.node(index));
        self.expect(of, &list, Kinds::LIST.or(Kinds::MAP), "only lists and maps have an index");
        if !list.kinds.meets(Kinds::MAP) {
            self.expect(index, &position, Kinds::NUMBER, "the index of a list is an integer");
            return list.element();
        }
        if !list.kinds.meets(Kinds::LIST) {
            self.expect(index, &position, Kinds::TEXT, "the index of a map is a string");
        }
        self.checked(node, Type { secret: list.secret, ..Type::any() })
    }

    fn condition(&mut self, node: &Node) {
        let found = self.node(node);
        self.expect(node, &found, Kinds::BOOL, "true or false is expected here");
    }

    /// `&&` (`all`) and `||`: each part is looked at only when those before it have not decided.
    fn junction(&mut self, parts: &[Node], all: bool) -> Type {
        let before = self.present.len();
        for part in parts {
            self.condition(part);
            self.present.extend(guarded(part, all));
        }
        self.present.truncate(before);
        Type::of_kinds(Kinds::BOOL)
    }

    fn binary(&mut self, node: &Node, operator: Operator, left: &Node, right: &Node) -> Type {
        let (one, other) = (self.node(left), self.node(right));
        match operator {
            Operator::Equal | Operator::Unequal => self.comparable(node, &one, &other),
            Operator::In => {
                self.expect(right, &other, Kinds::LIST.or(Kinds::MAP), "`in` looks into a list or a map");
                if !other.kinds.meets(Kinds::MAP) {
                    self.comparable(node, &one, &other.element());
                }
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                let ordered = [Kinds::NUMBER, Kinds::TEXT, Kinds::BOOL];
                self.both(node, operator, &one, &other, &ordered);
            }
            Operator::Add => {
                let kinds =
                    self.both(node, operator, &one, &other, &[Kinds::NUMBER, Kinds::TEXT, Kinds::LIST]);
                let secret = one.secret || other.secret;
                if kinds == Kinds::LIST {
                    return Type { secret, ..Type::list(one.element().or(other.element())) };
                }
                return Type { secret, ..Type::of_kinds(kinds) };
            }
            _ => {
                let kinds = self.both(node, operator, &one, &other, &[Kinds::NUMBER]);
                return Type { secret: one.secret || other.secret, ..Type::of_kinds(kinds) };
            }
        }
        Type::of_kinds(Kinds::BOOL)
    }

    /// Both operands must be able to be of one of these kinds. Returns what the result of `+` or `*` can be.
    fn both(
        &mut self,
        node: &Node,
        operator: Operator,
        one: &Type,
        other: &Type,
        allowed: &[Kinds],
    ) -> Kinds {
        let possible: Vec<Kinds> = allowed
            .iter()
            .copied()
            .filter(|kinds| one.kinds.meets(*kinds) && other.kinds.meets(*kinds))
            .collect();
        if possible.is_empty() {
            let message = format!(
                "`{}` cannot take {} and {}",
                operator.symbol(),
                one.kinds.words(),
                other.kinds.words()
            );
            let hint = if one.kinds.or(other.kinds).meets(Kinds::TEXT) {
                "convert one of them with `string(…)`, `int(…)` or `double(…)`"
            } else {
                "change one of the two"
            };
            self.report(node, "type_mismatch", message, hint);
            return Kinds::ALL;
        }
        possible.into_iter().fold(Kinds::NONE, |kinds, possible| {
            kinds.or(if possible == Kinds::NUMBER {
                let mixed = numeric(one.kinds).or(numeric(other.kinds));
                if mixed == Kinds::INTEGER { Kinds::INTEGER } else { Kinds::NUMBER }
            } else {
                possible
            })
        })
    }

    /// Values that can never be equal are a slip, whatever the operator.
    fn comparable(&mut self, node: &Node, one: &Type, other: &Type) {
        let wide = |kinds: Kinds| if kinds.meets(Kinds::NUMBER) { kinds.or(Kinds::NUMBER) } else { kinds };
        if !wide(one.kinds).meets(wide(other.kinds)) {
            let message = format!("{} is never equal to {}", one.kinds.words(), other.kinds.words());
            self.report(
                node,
                "type_mismatch",
                message,
                "compare values of one kind; convert with `string(…)` or `int(…)`",
            );
        } else if let (Some(values), Some(others)) = (&one.values, &other.values)
            && !values.iter().any(|value| others.iter().any(|other| same(value, other)))
        {
            let known = if values.len() > others.len() { values } else { others };
            self.report(
                node,
                "impossible_enum",
                "the two are never equal",
                format!("possible is {}", listed(known)),
            );
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Type {
        let mut fields = Some(Vec::new());
        for (key, value) in entries {
            let name = self.node(key);
            self.expect(key, &name, Kinds::TEXT, "the name of a field is a string");
            let found = self.node(value);
            match (&key.kind, &mut fields) {
                (Kind::Literal(Literal::Text(name)), Some(fields)) => fields.push((name.to_string(), found)),
                _ => fields = None,
            }
        }
        fields.map_or_else(|| Type::of_kinds(Kinds::MAP), Type::fields)
    }

    fn knowing<T>(&mut self, present: Vec<String>, inner: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.present.len();
        self.present.extend(present);
        let outcome = inner(self);
        self.present.truncate(before);
        outcome
    }

    fn expect(&mut self, node: &Node, found: &Type, wanted: Kinds, message: &str) {
        if !found.kinds.meets(wanted) {
            self.report(node, "type_mismatch", message, format!("this is {}", found.kinds.words()));
        }
    }

    fn report(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.findings.push(Finding {
            range: node.range.clone(),
            code,
            message: message.into(),
            hint: hint.into(),
        });
    }
}

/// The values that there are, for a hint.
pub(super) fn listed(values: &[Value]) -> String {
    let shown: Vec<String> = values.iter().take(20).map(|value| excerpt(&value.to_string())).collect();
    format!("{}{}", shown.join(", "), if values.len() > shown.len() { ", …" } else { "" })
}

/// The numbers among the kinds; all numbers when there are none, because that has been reported.
fn numeric(kinds: Kinds) -> Kinds {
    match kinds.and(Kinds::NUMBER) {
        Kinds::NONE => Kinds::NUMBER,
        numeric => numeric,
    }
}

fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => (*value).into(),
        Literal::Int(value) => (*value).into(),
        Literal::UInt(value) => (*value).into(),
        Literal::Double(value) => (*value).into(),
        Literal::Text(value) => value.as_ref().into(),
    }
}

/// Whether anything is known about the parts of a value.
pub(super) fn is_open(found: &Type) -> bool {
    matches!(found.inside, Inside::Unknown)
}
