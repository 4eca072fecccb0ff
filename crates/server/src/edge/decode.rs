//! Decoding: turns a parsed value into a request type, and says exactly what does not fit where.
//!
//! The library's own decoding cannot be used: its errors are sentences without a code, and with numbers kept digit
//! for digit it is lenient about what an integer is.

use std::fmt::{self, Display};

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value};

use super::check::push_segment;
use super::problem::{ProblemFault, echoed};

/// Names listed in a message when none is near the one that was sent.
const NAMES_SHOWN_MAX: usize = 12;

/// How alike two names must be (0 to 1) for one to be offered in place of the other.
const ALIKE_MIN: f64 = 0.5;

/// What does not fit, and where: the path is gathered on the way out of the value.
#[derive(Debug)]
pub(super) struct Misfit {
    path: Vec<String>,
    pub(super) code: &'static str,
    message: String,
}

/// Decodes a value into a request type.
pub(super) fn decode<T: DeserializeOwned>(value: Value) -> Result<T, Misfit> {
    T::deserialize(Decoder(value))
}

impl Misfit {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { path: Vec::new(), code, message: message.into() }
    }

    pub(super) fn within(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    /// The fault with a JSON Pointer.
    pub(super) fn into_fault(self) -> ProblemFault {
        let mut pointer = String::new();
        for segment in self.path.iter().rev() {
            push_segment(&mut pointer, segment);
        }
        ProblemFault::new(pointer, self.code, self.message)
    }

    /// The fault with a pointer to a query parameter.
    pub(super) fn into_parameter_fault(self) -> ProblemFault {
        let name = self.path.last().map(String::as_str).unwrap_or_default();
        ProblemFault::new(format!("?{}", echoed(name)), self.code, self.message)
    }

    /// What the library says where no number is wanted, in our words.
    fn of_number(error: &serde_json::Error) -> Self {
        let said = error.to_string();
        let message = match said.split_once(", expected ") {
            Some((_, expected)) => format!("expected {}, found a number", in_words(&expected)),
            None => said,
        };
        Self::new("type", message)
    }

    fn type_of(found: &Value, expected: &dyn Expected) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Self::new("type", format!("expected {}, found {found}", in_words(expected)))
    }
}

impl Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: Display>(message: T) -> Self {
        Self::new("invalid_value", message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Char(_) | Unexpected::Str(_) => "a string",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "an array",
            Unexpected::Map => "an object",
            _ => "something else",
        };
        Self::new("type", format!("expected {}, found {found}", in_words(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => {
                Self::new("range", format!("must be {}", in_words(expected)))
            }
            Unexpected::Str(text) => Self::new(
                "invalid_value",
                format!("expected {}, found `{}`", in_words(expected), echoed(text)),
            ),
            _ => Self::new("invalid_value", format!("expected {}", in_words(expected))),
        }
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new("length", format!("expected {}, found {length} entries", in_words(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(
            "unknown_value",
            format!("`{}` is not known here{}", echoed(variant), instead(variant, expected)),
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("`{}` is not known here{}", echoed(field), instead(field, expected));
        Self::new("unknown_field", message).within(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("missing_field", format!("`{field}` is required")).within(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("duplicate_key", format!("`{field}` is there twice")).within(field)
    }
}

/// The end of a message about an unknown name: the nearest known one, or all.
fn instead(name: &str, known: &[&str]) -> String {
    // The measure takes quadratic time, so only a name of a name's length is compared.
    let short: String = name.chars().take(super::problem::ECHO_MAX_CHARS).collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&short, candidate), candidate))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        None => "; nothing is".to_owned(),
        Some((alike, name)) if alike >= ALIKE_MIN => format!("; did you mean `{name}`?"),
        Some(_) => format!("; known are {}", listed(known)),
    }
}

fn listed(known: &[&str]) -> String {
    let shown: Vec<_> = known.iter().take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > NAMES_SHOWN_MAX { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// What is expected, in words of the API: what the library reads by itself names the types of the language.
pub(super) fn in_words(expected: &dyn Expected) -> String {
    let said = expected.to_string();
    match said.as_str() {
        "i8" | "i16" | "i32" | "i64" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128" | "isize" | "usize" => {
            "an integer".to_owned()
        }
        "f32" | "f64" => "a number".to_owned(),
        "a map" => "an object".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other if other.starts_with("tuple ") => "a list".to_owned(),
        _ => said,
    }
}

/// The value of decimal digits with an optional minus, held at the ends of `i128`; `None` for everything else.
pub(super) fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'))
        && text != "-0";
    let saturated = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    canonical.then(|| text.parse().unwrap_or(saturated))
}

/// `value` as the integer type asked for, or the fault that names the type's bounds.
pub(super) fn fit<T: TryFrom<i128>>(value: i128, min: impl Display, max: impl Display) -> Result<T, Misfit> {
    T::try_from(value).map_err(|_| Misfit::new("range", format!("must be an integer from {min} to {max}")))
}

struct Decoder(Value);

/// The methods of a deserializer that read integers: by its own `integer`, then held against the range of the kind.
macro_rules! integers {
    () => { integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    } };
    ($($method:ident $visit:ident $kind:ty;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let value = self.integer(&visitor)?;
            visitor.$visit(fit::<$kind>(value, <$kind>::MIN, <$kind>::MAX)?)
        }
    )+};
}
pub(super) use integers;

impl Decoder {
    fn integer(&self, expected: &dyn Expected) -> Result<i128, Misfit> {
        match &self.0 {
            Value::Number(number) => integer(number.as_str()).ok_or_else(|| {
                let found = echoed(number.as_str());
                let expected = match in_words(expected) {
                    any if any == "an integer" => String::new(),
                    some => format!(" ({some})"),
                };
                Misfit::new("type", format!("expected an integer in plain digits{expected}, found {found}"))
            }),
            other => Err(Misfit::type_of(other, expected)),
        }
    }
}

impl<'de> de::Deserializer<'de> for Decoder {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            // The library hands this one on as a plain 0, unless it reads it from text.
            Value::Number(number) if number.as_str() == "-0" => {
                de::Deserializer::deserialize_any(&mut serde_json::Deserializer::from_str("-0"), visitor)
                    .map_err(|error| Misfit::of_number(&error))
            }
            // Numbers pass to free-form values digit for digit; only the library knows how it hides them.
            Value::Number(number) => {
                number.deserialize_any(visitor).map_err(|error| Misfit::of_number(&error))
            }
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Value::Object(fields) => visitor.visit_map(Entries { fields: fields.into_iter(), value: None }),
        }
    }

    integers!();

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0 {
            Value::Number(number) => match number.as_f64().filter(|value| value.is_finite()) {
                Some(value) => visitor.visit_f64(value),
                None => Err(Misfit::new("range", "must be a number that fits 64 bits")),
            },
            other => Err(Misfit::type_of(other, &visitor)),
        }
    }

    /// `null` is not "absent": a field that is not meant must be left out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => Err(Misfit::new("type", "null is not a value here; leave the field out instead")),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            other => Err(Misfit::type_of(&other, &"an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(Variant { variant, content: None }),
            Value::Object(fields) if fields.len() == 1 => {
                let (variant, content) = fields.into_iter().next().expect("one field was counted");
                visitor.visit_enum(Variant { variant, content: Some(content) })
            }
            // What the visitor expects is the name of a type of ours.
            other => Err(Misfit::type_of(&other, &format!("one of {}", listed(known)).as_str())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Decoder(item)).map(Some).map_err(|misfit| misfit.within(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries {
    fields: <Map<String, Value> as IntoIterator>::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        let name: StringDeserializer<Misfit> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let (name, value) = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(Decoder(value)).map_err(|misfit| misfit.within(name))
    }
}

struct Variant {
    variant: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Misfit;
    type Variant = Content;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content), Misfit> {
        let name: StringDeserializer<Misfit> = self.variant.clone().into_deserializer();
        Ok((seed.deserialize(name)?, Content { variant: self.variant, value: self.content }))
    }
}

struct Content {
    variant: String,
    value: Option<Value>,
}

impl Content {
    fn decode<T>(self, decode: impl FnOnce(Decoder) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let value = self.value.unwrap_or(Value::Null);
        decode(Decoder(value)).map_err(|misfit| misfit.within(self.variant))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match &self.value {
            None => Ok(()),
            Some(value) => Err(Misfit::type_of(value, &"only the name").within(self.variant)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        self.decode(|decoder| seed.deserialize(decoder))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.decode(|decoder| de::Deserializer::deserialize_seq(decoder, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.decode(|decoder| de::Deserializer::deserialize_struct(decoder, "", fields, visitor))
    }
}
