//! Inference of calls and loops.

use super::super::static_type::{Kinds, Type};
use super::Inference;
use crate::expression::functions::Function;
use crate::expression::syntax::{Comprehension, Loop, Node};

impl Inference<'_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[Node]) -> Type {
        let types: Vec<Type> = arguments.iter().map(|argument| self.node(argument)).collect();
        let secret = types.iter().any(|found| found.secret);
        if function == Function::Dyn {
            return Type { secret, ..Type::any() };
        }
        let scalar = Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOL);
        let (first, result) = match function {
            Function::Size => (Kinds::TEXT.or(Kinds::LIST).or(Kinds::MAP), Kinds::INTEGER),
            Function::String => (scalar, Kinds::TEXT),
            Function::Int | Function::Uint => (Kinds::TEXT.or(Kinds::NUMBER), Kinds::INTEGER),
            Function::Double => (Kinds::TEXT.or(Kinds::NUMBER), Kinds::NUMBER),
            Function::Bool => (Kinds::TEXT.or(Kinds::BOOL), Kinds::BOOL),
            Function::Join => (Kinds::LIST, Kinds::TEXT),
            Function::Contains | Function::StartsWith | Function::EndsWith | Function::Matches => {
                (Kinds::TEXT, Kinds::BOOL)
            }
            Function::IndexOf => (Kinds::TEXT, Kinds::INTEGER),
            Function::Split => (Kinds::TEXT, Kinds::LIST),
            Function::LowerAscii
            | Function::UpperAscii
            | Function::Trim
            | Function::Replace
            | Function::Substring
            | Function::Dyn => (Kinds::TEXT, Kinds::TEXT),
        };
        let rest = if function == Function::Substring { Kinds::NUMBER } else { Kinds::TEXT };
        for (index, (argument, found)) in arguments.iter().zip(&types).enumerate() {
            let wanted = if index == 0 { first } else { rest };
            self.expect(
                argument,
                found,
                wanted,
                &format!("`{}` takes {} here", function.name(), wanted.words()),
            );
        }
        match function {
            Function::Split => Type { secret, ..Type::list(Type::of_kinds(Kinds::TEXT)) },
            _ => Type { secret: secret && result != Kinds::BOOL, ..Type::of_kinds(result) },
        }
    }

    pub(super) fn comprehension(&mut self, inner: &Comprehension) -> Type {
        let over = self.node(&inner.over);
        self.expect(
            &inner.over,
            &over,
            Kinds::LIST.or(Kinds::MAP),
            &format!("`{}` goes over a list or the keys of a map", inner.kind.name()),
        );
        let element = match (over.kinds.meets(Kinds::LIST), over.kinds.meets(Kinds::MAP)) {
            (true, false) => over.element(),
            (false, true) => Type::of_kinds(Kinds::TEXT),
            _ => Type { secret: over.secret, ..Type::any() },
        };
        self.locals.push(element.clone());
        if let Some(filter) = &inner.filter {
            self.condition(filter);
        }
        let body = self.node(&inner.body);
        if inner.kind != Loop::Map {
            self.expect(&inner.body, &body, Kinds::BOOL, "true or false is expected here");
        }
        self.locals.pop();
        match inner.kind {
            Loop::Map => Type::list(body),
            Loop::Filter => Type { skipped: None, ..Type::list(element) },
            Loop::All | Loop::Exists | Loop::ExistsOne => Type::of_kinds(Kinds::BOOL),
        }
    }
}
