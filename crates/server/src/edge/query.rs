//! Query strings: every parameter known, given once unless it is a list, and of its type.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::decode::{Misfit, fit, in_words, integer, integers};
use super::head::percent_decoded;
use super::integer::Int;
use super::problem::{Problem, echoed};

/// Entries of one page: below the first no page moves on, above the last no client reads.
pub type Limit = Int<1, 1000>;

/// The parameters of a request as a type: `#[serde(deny_unknown_fields)]`, `Option` for optional ones, `Vec` for
/// ones that may be repeated (with `#[serde(default)]`).
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// For routes without parameters, so that a misspelt one is told rather than ignored.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Reads a query string.
///
/// # Errors
/// 400 `bad_encoding`, `duplicate_parameter`, `unknown_parameter`; 422 with the pointer `?name` for wrong values.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let mut parameters: Vec<(String, Vec<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => parameters.push((name, vec![value])),
        }
    }
    T::deserialize(Parameters(parameters)).map_err(refusal)
}

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    percent_decoded(spaced.as_bytes()).filter(|decoded| !decoded.contains('\0')).ok_or_else(|| {
        let detail =
            format!("The query has `{}`, which is not percent-encoded UTF-8 without NUL.", echoed(text));
        Problem::unreadable("bad_encoding", detail)
    })
}

fn refusal(misfit: Misfit) -> Problem {
    let mut item = misfit.into_parameter_fault();
    item.code = match item.code {
        "unknown_field" => "unknown_parameter",
        "missing_field" => "missing_parameter",
        other => other,
    };
    if matches!(item.code, "unknown_parameter" | "duplicate_parameter") {
        let detail = item.message.clone();
        return Problem::new(StatusCode::BAD_REQUEST, item.code, "The query cannot be read")
            .detail(detail)
            .fault(item);
    }
    Problem::unprocessable(vec![item])
}

struct Parameters(Vec<(String, Vec<String>)>);

impl<'de> de::Deserializer<'de> for Parameters {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Pairs { pairs: self.0.into_iter(), value: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs {
    pairs: std::vec::IntoIter<(String, Vec<String>)>,
    value: Option<(String, Vec<String>)>,
}

impl<'de> MapAccess<'de> for Pairs {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, values)) = self.pairs.next() else { return Ok(None) };
        let key: StrDeserializer<'_, Misfit> = name.as_str().into_deserializer();
        let key = seed.deserialize(key)?;
        self.value = Some((name, values));
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let (name, values) = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(Values(values)).map_err(|misfit| misfit.within(name))
    }
}

/// All values of one parameter: one, unless the type asks for a list.
struct Values(Vec<String>);

impl Values {
    fn only(mut self) -> Result<String, Misfit> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(Misfit::new("duplicate_parameter", "the parameter may be given once only")),
        }
    }

    fn integer(self, expected: &dyn Expected) -> Result<i128, Misfit> {
        let text = self.only()?;
        integer(&text).ok_or_else(|| {
            Misfit::new("type", format!("expected {}, found `{}`", in_words(expected), echoed(&text)))
        })
    }
}

impl<'de> de::Deserializer<'de> for Values {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_string(self.only()?)
    }

    integers!();

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.only()?.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(Misfit::new("type", format!("expected true or false, found `{}`", echoed(other)))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(List(self.0.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let variant: StringDeserializer<Misfit> = self.only()?.into_deserializer();
        visitor.visit_enum(variant)
    }

    serde::forward_to_deserialize_any! {
        u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}

struct List(std::vec::IntoIter<String>);

impl<'de> SeqAccess<'de> for List {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.0.next().map(|value| seed.deserialize(Values(vec![value]))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listing {
        #[serde(default)]
        label: Vec<String>,
        limit: Option<Limit>,
        open: Option<bool>,
        state: Option<State>,
        text: Option<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum State {
        Held,
    }

    fn refused(query: &str) -> (u16, &'static str, String) {
        let problem = read::<Listing>(query).expect_err(query);
        let pointer = problem.errors().first().map(|item| item.pointer.clone()).unwrap_or_default();
        (problem.status().as_u16(), problem.code(), pointer)
    }

    #[test]
    fn parameters_of_their_type_are_taken() {
        let listing: Listing = read("label=a%20b&label=c+d&limit=1000&open=true&state=held&text=&").unwrap();
        assert_eq!(listing.label, ["a b", "c d"]);
        assert_eq!(listing.limit.map(Int::get), Some(1000));
        assert_eq!((listing.open, listing.state), (Some(true), Some(State::Held)));
        assert_eq!(listing.text.as_deref(), Some(""));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (query, status, code, pointer) in [
            ("text=%ff", 400, "bad_encoding", ""),
            ("text=%2", 400, "bad_encoding", ""),
            ("text=%00", 400, "bad_encoding", ""),
            ("limit=1&limit=2", 400, "duplicate_parameter", "?limit"),
            ("l%69mit=1&limit=2", 400, "duplicate_parameter", "?limit"),
            ("limmit=1", 400, "unknown_parameter", "?limmit"),
            ("limit=0", 422, "range", "?limit"),
            ("limit=-1", 422, "range", "?limit"),
            ("limit=1001", 422, "range", "?limit"),
            ("limit=100000000000000000000", 422, "range", "?limit"),
            ("limit=ten", 422, "type", "?limit"),
            ("limit=", 422, "type", "?limit"),
            ("limit=1.0", 422, "type", "?limit"),
            ("limit=01", 422, "type", "?limit"),
            ("open=yes", 422, "type", "?open"),
            ("state=hold", 422, "unknown_value", "?state"),
        ] {
            assert_eq!(refused(query), (status, code, pointer.to_owned()), "{query}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered() {
        let problem = read::<Listing>("limmit=1").unwrap_err();
        assert!(problem.errors()[0].message.contains("did you mean `limit`?"));
        assert_eq!(read::<NoParameters>("x=1").unwrap_err().code(), "unknown_parameter");
        assert!(read::<NoParameters>("").is_ok());
    }
}
