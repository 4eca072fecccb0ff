//! Syntax trees: a parsed expression, each node with the bytes that it stands on.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::functions::Function;

/// One node of a syntax tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
    /// How many nodes lie below this one, itself included, on the longest way down.
    pub(crate) depth: usize,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    Root(Root),
    /// A variable of the comprehension at this depth, outermost first.
    Local(usize),
    Select(Box<Node>, Arc<str>),
    Index(Box<Node>, Box<Node>),
    Has(Box<Node>, Arc<str>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// Condition, then, otherwise.
    Choice(Box<[Node; 3]>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// The receiver of a method is the first argument. A pattern that stands in the text is compiled once.
    Call(Function, Vec<Node>, Option<Regex>),
    Comprehension(Box<Comprehension>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Arc<str>),
}

/// A variable that the surroundings of an expression give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Input,
    Steps,
    Facts,
    EachValue,
    EachIndex,
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// A loop over a list or the keys of a map.
#[derive(Clone, Debug)]
pub(crate) struct Comprehension {
    pub(crate) over: Node,
    pub(crate) kind: Loop,
    /// The condition of a `map` with three arguments.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

/// What a loop makes of its bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Root {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Root::Input => "input",
            Root::Steps => "steps",
            Root::Facts => "facts",
            Root::EachValue => "each.value",
            Root::EachIndex => "each.index",
        }
    }
}

impl Operator {
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::Equal => "==",
            Operator::Unequal => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
        }
    }
}

impl Loop {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Loop::All => "all",
            Loop::Exists => "exists",
            Loop::ExistsOne => "exists_one",
            Loop::Map => "map",
            Loop::Filter => "filter",
        }
    }
}

impl Node {
    /// The nodes directly below this one.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Literal(_) | Kind::Root(_) | Kind::Local(_) => Vec::new(),
            Kind::Select(of, _) | Kind::Has(of, _) | Kind::Not(of) | Kind::Negate(of) => vec![of],
            Kind::Index(left, right) | Kind::Binary(_, left, right) => vec![left, right],
            Kind::And(parts) | Kind::Or(parts) | Kind::List(parts) | Kind::Call(_, parts, _) => {
                parts.iter().collect()
            }
            Kind::Choice(parts) => parts.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Kind::Comprehension(inner) => {
                let mut parts = vec![&inner.over];
                parts.extend(&inner.filter);
                parts.push(&inner.body);
                parts
            }
        }
    }

    /// The step that this node names, as in `steps.customer` or `facts.customer`.
    pub(crate) fn step(&self) -> Option<(Root, &Arc<str>)> {
        match &self.kind {
            Kind::Select(of, name) | Kind::Has(of, name) => match of.kind {
                Kind::Root(root @ (Root::Steps | Root::Facts)) => Some((root, name)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Calls `visit` with this node and every node below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Node)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}
