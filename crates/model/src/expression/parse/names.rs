//! What a name means: a constant, a variable, a step, a function, a loop.

use std::ops::Range;

use super::{Parsed, Parser, pattern};
use crate::expression::fault;
use crate::expression::functions::Function;
use crate::expression::syntax::{Comprehension, Kind, Literal, Loop, Node, Root};
use crate::expression::token::Token;
use crate::limits::EXPRESSION_LOOPS;
use crate::text::{excerpt, nearest};

/// Words that the expression language keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// The variables of every scenario.
const VARIABLES: [&str; 4] = ["input", "steps", "facts", "each"];

impl Parser {
    pub(super) fn named(&mut self, name: &str) -> Parsed<Node> {
        let range = self.range();
        self.at += 1;
        let kind = match name {
            "true" => Kind::Literal(Literal::Bool(true)),
            "false" => Kind::Literal(Literal::Bool(false)),
            "null" => Kind::Literal(Literal::Null),
            _ if self.eat("(") => return self.function(name, range),
            _ => match self.locals.iter().rposition(|local| local == name) {
                Some(slot) => Kind::Local(slot),
                None => Kind::Root(self.root(name, range.clone())?),
            },
        };
        let end = self.tokens[self.at - 1].1.end;
        self.node(range.start..end, kind)
    }

    fn root(&mut self, name: &str, range: Range<usize>) -> Parsed<Root> {
        match name {
            "input" => Ok(Root::Input),
            // Steps are named, never computed, so that the order of a scenario is known before it runs.
            "steps" | "facts" if self.names_a_step() => {
                Ok(if name == "steps" { Root::Steps } else { Root::Facts })
            }
            "steps" | "facts" => {
                Err(fault(range, "dynamic_step", format!("`{name}` must be followed by the name of a step"))
                    .hint(format!("write `{name}.customer`")))
            }
            "each" => {
                if !self.eat(".") {
                    return Err(fault(range, "unknown_field", "`each` is not a value by itself")
                        .hint("write `each.value` or `each.index`"));
                }
                let named = self.range();
                match self.name()?.as_str() {
                    "value" => Ok(Root::EachValue),
                    "index" => Ok(Root::EachIndex),
                    other => {
                        Err(fault(named, "unknown_field", format!("`each` has no `{}`", excerpt(other)))
                            .hint("it has `each.value` and `each.index`"))
                    }
                }
            }
            _ if RESERVED.contains(&name) => {
                Err(fault(range, "syntax", format!("`{name}` is a word of the expression language"))
                    .hint("choose another name"))
            }
            _ => {
                let known = VARIABLES.into_iter().chain(self.locals.iter().map(String::as_str));
                let hint = match nearest(name, known) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "the variables are `input`, `steps`, `facts` and `each`; quote a text".to_owned(),
                };
                Err(fault(range, "unknown_variable", format!("there is no variable `{}`", excerpt(name)))
                    .hint(hint))
            }
        }
    }

    fn names_a_step(&self) -> bool {
        let next = |ahead: usize| self.tokens.get(self.at + ahead).map(|(token, _)| token);
        match (next(0), next(1), next(2)) {
            (Some(Token::Symbol(".")), Some(Token::Name(_)), after) => after != Some(&Token::Symbol("(")),
            (Some(Token::Symbol("[")), Some(Token::Text(_)), Some(Token::Symbol("]"))) => true,
            _ => false,
        }
    }

    fn function(&mut self, name: &str, named: Range<usize>) -> Parsed<Node> {
        let (mut arguments, end) = self.list(")")?;
        let range = named.start..end;
        if name == "has" {
            let of = arguments.pop().filter(|_| arguments.is_empty());
            return match of.map(|node| node.kind) {
                Some(Kind::Select(of, field)) => self.node(range, Kind::Has(of, field)),
                _ => Err(fault(range, "syntax", "`has` asks for one field of a value")
                    .hint("write it as `has(input.country)`")),
            };
        }
        self.call(name, false, arguments, named, range)
    }

    pub(super) fn method(&mut self, of: Node, name: &str, named: Range<usize>) -> Parsed<Node> {
        let start = of.range.start;
        let kind = match name {
            "all" => Loop::All,
            "exists" => Loop::Exists,
            "exists_one" | "existsOne" => Loop::ExistsOne,
            "map" => Loop::Map,
            "filter" => Loop::Filter,
            _ => {
                let (mut arguments, end) = self.list(")")?;
                arguments.insert(0, of);
                return self.call(name, true, arguments, named, start..end);
            }
        };
        self.comprehension(of, kind)
    }

    fn comprehension(&mut self, over: Node, kind: Loop) -> Parsed<Node> {
        let range = self.range();
        if self.locals.len() == EXPRESSION_LOOPS {
            return Err(fault(
                range,
                "too_deep",
                format!("more than {EXPRESSION_LOOPS} loops stand inside each other"),
            )
            .hint("compute the inner part in a step of its own"));
        }
        let variable = self.name()?;
        if VARIABLES.contains(&variable.as_str())
            || RESERVED.contains(&variable.as_str())
            || self.locals.contains(&variable)
        {
            return Err(fault(range, "shadowed_variable", "the name of the loop variable is taken")
                .hint("choose another name"));
        }
        self.expect(",")?;
        self.locals.push(variable);
        let first = self.expression()?;
        let second = if kind == Loop::Map && self.eat(",") { Some(self.expression()?) } else { None };
        self.locals.pop();
        let range = over.range.start..self.expect(")")?;
        let (filter, body) = match second {
            Some(body) => (Some(first), body),
            None => (None, first),
        };
        self.node(range, Kind::Comprehension(Box::new(Comprehension { over, kind, filter, body })))
    }

    fn call(
        &mut self,
        name: &str,
        method: bool,
        arguments: Vec<Node>,
        named: Range<usize>,
        range: Range<usize>,
    ) -> Parsed<Node> {
        let Some(function) = Function::named(name) else {
            let known = Function::ALL.iter().map(|function| function.name()).chain([
                "has",
                "all",
                "exists",
                "exists_one",
                "map",
                "filter",
            ]);
            let hint = match nearest(name, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("the functions are {}", Function::ALL.map(Function::name).join(", ")),
            };
            return Err(fault(
                named,
                "unknown_function",
                format!("there is no function `{}`", excerpt(name)),
            )
            .hint(hint));
        };
        if !function.takes(method, arguments.len()) {
            return Err(fault(range, "wrong_arguments", format!("`{name}` is not called like this"))
                .hint(format!("call it as {}", function.usage())));
        }
        let compiled = match (function, arguments.get(1).map(|argument| &argument.kind)) {
            (Function::Matches, Some(Kind::Literal(Literal::Text(text)))) => Some(
                pattern(text).map_err(|message| fault(arguments[1].range.clone(), "bad_pattern", message))?,
            ),
            _ => None,
        };
        self.node(range, Kind::Call(function, arguments, compiled))
    }
}
