//! Parsing of expressions, with every bound enforced before anything can grow.

mod names;

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::syntax::{Kind, Literal, Node, Operator};
use super::token::{Token, tokens};
use super::{ExpressionError, fault};
use crate::limits::{
    EXPRESSION_BYTES, EXPRESSION_DEPTH, EXPRESSION_NESTING, PATTERN_BYTES, PATTERN_COMPILED_BYTES,
};

type Parsed<T> = Result<T, ExpressionError>;

/// Parses one expression.
pub(super) fn parse(text: &str) -> Parsed<Node> {
    if text.len() > EXPRESSION_BYTES {
        return Err(fault(
            0..text.len(),
            "too_long",
            format!("the expression is longer than {EXPRESSION_BYTES} bytes"),
        )
        .hint("split it over several steps or invariants"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nesting: 0, locals: Vec::new() };
    if parser.peek() == &Token::End {
        return Err(fault(0..text.len(), "empty", "the expression is empty"));
    }
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the end of the expression")),
    }
}

/// Compiles a regular expression, whose matching takes time linear in the text.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > PATTERN_BYTES {
        return Err(format!("the pattern is longer than {PATTERN_BYTES} bytes"));
    }
    RegexBuilder::new(text)
        .size_limit(PATTERN_COMPILED_BYTES)
        .dfa_size_limit(PATTERN_COMPILED_BYTES)
        .build()
        .map_err(|_| "the pattern is not a regular expression, or too large a one".to_owned())
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    nesting: usize,
    locals: Vec<String>,
}

impl Parser {
    fn expression(&mut self) -> Parsed<Node> {
        self.nested(|parser| {
            let condition = parser.operation(1)?;
            if !parser.eat("?") {
                return Ok(condition);
            }
            let then = parser.operation(1)?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            let range = condition.range.start..otherwise.range.end;
            parser.node(range, Kind::Choice(Box::new([condition, then, otherwise])))
        })
    }

    /// Operators that bind at least as tightly as `least`.
    fn operation(&mut self, least: u8) -> Parsed<Node> {
        let mut left = self.unary()?;
        while let Some((symbol, tightness)) = self.operator().filter(|(_, tightness)| *tightness >= least) {
            self.at += 1;
            let right = self.operation(tightness + 1)?;
            let range = left.range.start..right.range.end;
            let kind = match symbol {
                "&&" => Kind::And(joined(left, right, |kind| match kind {
                    Kind::And(parts) => Ok(parts),
                    other => Err(other),
                })),
                "||" => Kind::Or(joined(left, right, |kind| match kind {
                    Kind::Or(parts) => Ok(parts),
                    other => Err(other),
                })),
                _ => Kind::Binary(binary(symbol), Box::new(left), Box::new(right)),
            };
            left = self.node(range, kind)?;
        }
        Ok(left)
    }

    /// The operator that comes next, and how tightly it binds.
    fn operator(&self) -> Option<(&'static str, u8)> {
        match self.peek() {
            Token::Name(name) if name == "in" => Some(("in", 3)),
            Token::Symbol(symbol) => {
                let tightness = match *symbol {
                    "||" => 1,
                    "&&" => 2,
                    "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
                    "+" | "-" => 4,
                    "*" | "/" | "%" => 5,
                    _ => return None,
                };
                Some((symbol, tightness))
            }
            _ => None,
        }
    }

    fn unary(&mut self) -> Parsed<Node> {
        let start = self.range().start;
        if self.eat("!") {
            return self.nested(|parser| {
                let of = parser.unary()?;
                parser.node(start..of.range.end, Kind::Not(Box::new(of)))
            });
        }
        if !self.eat("-") {
            return self.member();
        }
        if let Token::Int(magnitude) = *self.peek() {
            // The lowest integer has no positive twin, so the sign is read together with the digits.
            let range = start..self.range().end;
            self.at += 1;
            let value = 0i64
                .checked_sub_unsigned(magnitude)
                .ok_or_else(|| fault(range.clone(), "overflow", "the number does not fit into 64 bits"))?;
            let literal = self.node(range, Kind::Literal(Literal::Int(value)))?;
            return self.selectors(literal);
        }
        self.nested(|parser| {
            let of = parser.unary()?;
            parser.node(start..of.range.end, Kind::Negate(Box::new(of)))
        })
    }

    fn member(&mut self) -> Parsed<Node> {
        let primary = self.primary()?;
        self.selectors(primary)
    }

    fn selectors(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let start = node.range.start;
            if self.eat(".") {
                let named = self.range();
                let name = self.name()?;
                node = if self.eat("(") {
                    self.method(node, &name, named)?
                } else {
                    self.node(start..named.end, Kind::Select(Box::new(node), name.into()))?
                };
            } else if self.eat("[") {
                let index = self.expression()?;
                let end = self.expect("]")?;
                let kind = match index.kind {
                    Kind::Literal(Literal::Text(name)) => Kind::Select(Box::new(node), name),
                    _ => Kind::Index(Box::new(node), Box::new(index)),
                };
                node = self.node(start..end, kind)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Node> {
        let range = self.range();
        let literal = match self.peek().clone() {
            Token::Int(value) => Literal::Int(
                i64::try_from(value)
                    .map_err(|_| fault(range.clone(), "overflow", "the number does not fit into 64 bits"))?,
            ),
            Token::UInt(value) => Literal::UInt(value),
            Token::Double(value) => Literal::Double(value),
            Token::Text(value) => Literal::Text(value.into()),
            Token::Name(name) => return self.named(&name),
            Token::Symbol("(") => {
                self.at += 1;
                let mut node = self.expression()?;
                node.range = range.start..self.expect(")")?;
                return Ok(node);
            }
            Token::Symbol("[") => {
                self.at += 1;
                let (parts, end) = self.list("]")?;
                return self.node(range.start..end, Kind::List(parts));
            }
            Token::Symbol("{") => {
                self.at += 1;
                return self.map(range.start);
            }
            Token::Symbol(_) | Token::End => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        self.node(range, Kind::Literal(literal))
    }

    fn list(&mut self, end: &'static str) -> Parsed<(Vec<Node>, usize)> {
        let mut parts = Vec::new();
        loop {
            if let Token::Symbol(symbol) = self.peek()
                && *symbol == end
            {
                return Ok((parts, self.expect(end)?));
            }
            parts.push(self.expression()?);
            if !self.eat(",") {
                return Ok((parts, self.expect(end)?));
            }
        }
    }

    fn map(&mut self, start: usize) -> Parsed<Node> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        while self.peek() != &Token::Symbol("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.eat(",") {
                break;
            }
        }
        let end = self.expect("}")?;
        self.node(start..end, Kind::Map(entries))
    }

    fn name(&mut self) -> Parsed<String> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// Runs `inner` one level deeper; the bound keeps the stack of parser and evaluator small.
    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<Node>) -> Parsed<Node> {
        if self.nesting == EXPRESSION_NESTING {
            return Err(self.too_deep(self.range()));
        }
        self.nesting += 1;
        let node = inner(self);
        self.nesting -= 1;
        node
    }

    fn node(&self, range: Range<usize>, kind: Kind) -> Parsed<Node> {
        let mut node = Node { kind, range, depth: 0 };
        node.depth = 1 + node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > EXPRESSION_DEPTH { Err(self.too_deep(node.range)) } else { Ok(node) }
    }

    fn too_deep(&self, range: Range<usize>) -> ExpressionError {
        fault(range, "too_deep", format!("the expression is nested deeper than {EXPRESSION_NESTING} levels, or chains more than {EXPRESSION_DEPTH} operators"))
            .hint("split it over several steps or invariants")
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn range(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    fn eat(&mut self, symbol: &'static str) -> bool {
        let eaten = self.peek() == &Token::Symbol(symbol);
        self.at += usize::from(eaten);
        eaten
    }

    /// Returns where the expected symbol ends.
    fn expect(&mut self, symbol: &'static str) -> Parsed<usize> {
        let end = self.range().end;
        if self.eat(symbol) { Ok(end) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, expected: &str) -> ExpressionError {
        let range = self.range();
        match self.peek() {
            Token::End => fault(range, "syntax", format!("the expression ends where {expected} is expected")),
            _ => fault(range, "syntax", format!("{expected} is expected here")),
        }
    }
}

/// Joins a chain of one operator into one flat node, so that a long chain is not a deep one.
fn joined(left: Node, right: Node, parts: impl Fn(Kind) -> Result<Vec<Node>, Kind>) -> Vec<Node> {
    let Node { kind, range, depth } = left;
    let mut all = match parts(kind) {
        Ok(parts) => parts,
        Err(kind) => vec![Node { kind, range, depth }],
    };
    all.push(right);
    all
}

fn binary(symbol: &str) -> Operator {
    match symbol {
        "+" => Operator::Add,
        "-" => Operator::Subtract,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "%" => Operator::Remainder,
        "==" => Operator::Equal,
        "!=" => Operator::Unequal,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => Operator::In,
    }
}
