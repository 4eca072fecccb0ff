//! Keywords of JSON Schema 2020-12: what each holds and to what its schemas apply.

/// What the value of a keyword is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// One schema.
    Schema(Applies),
    /// A list of schemas.
    List(Applies),
    /// An object of schemas by name.
    Map(Applies),
    /// Text for people; validation ignores it.
    Annotation,
    /// A set, written as a list in any order.
    Set,
    /// Anything else.
    Data,
}

/// To what the schemas in a keyword apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    /// To the same value, always.
    Always,
    /// To the same value, depending on it.
    Sometimes,
    /// To the same value, but what they say does not describe it.
    Against,
    /// To the properties or items of the value.
    Inside,
    /// To nothing: they wait to be referred to.
    Nowhere,
}

const KEYWORDS: [(&str, Holds); 64] = {
    use Applies::{Against, Always, Inside, Nowhere, Sometimes};
    use Holds::{Annotation, Data, List, Map, Schema, Set};
    [
        ("$anchor", Data),
        ("$comment", Annotation),
        ("$defs", Map(Nowhere)),
        ("$dynamicAnchor", Data),
        ("$dynamicRef", Data),
        ("$id", Annotation),
        ("$ref", Data),
        ("$schema", Annotation),
        ("$vocabulary", Annotation),
        ("additionalProperties", Schema(Inside)),
        ("allOf", List(Always)),
        ("anyOf", List(Sometimes)),
        ("const", Data),
        ("contains", Schema(Inside)),
        ("contentEncoding", Data),
        ("contentMediaType", Data),
        ("contentSchema", Schema(Nowhere)),
        ("default", Data),
        ("definitions", Map(Nowhere)),
        ("dependentRequired", Data),
        ("dependentSchemas", Map(Sometimes)),
        ("deprecated", Annotation),
        ("description", Annotation),
        ("else", Schema(Sometimes)),
        ("enum", Set),
        ("examples", Annotation),
        ("exclusiveMaximum", Data),
        ("exclusiveMinimum", Data),
        ("format", Data),
        ("if", Schema(Against)),
        ("items", Schema(Inside)),
        ("maxContains", Data),
        ("maxItems", Data),
        ("maxLength", Data),
        ("maxProperties", Data),
        ("maximum", Data),
        ("minContains", Data),
        ("minItems", Data),
        ("minLength", Data),
        ("minProperties", Data),
        ("minimum", Data),
        ("multipleOf", Data),
        ("not", Schema(Against)),
        ("oneOf", List(Sometimes)),
        ("pattern", Data),
        ("patternProperties", Map(Inside)),
        ("prefixItems", List(Inside)),
        ("properties", Map(Inside)),
        ("propertyNames", Schema(Inside)),
        ("readOnly", Annotation),
        ("required", Set),
        ("then", Schema(Sometimes)),
        ("title", Annotation),
        ("type", Set),
        ("unevaluatedItems", Schema(Inside)),
        ("unevaluatedProperties", Schema(Inside)),
        ("uniqueItems", Data),
        ("writeOnly", Annotation),
        (ENTITY, Data),
        (SECRET, Data),
        (SELECTABLE, Data),
        (VOLATILE, Data),
        // Older drafts; the library still honours them, so they are followed too.
        ("$recursiveRef", Data),
        ("dependencies", Map(Sometimes)),
    ]
};

/// The keyword that marks the key of a thing in a service.
pub(crate) const ENTITY: &str = "x-entity";

/// The keyword that marks what only the lease holder may see.
pub(crate) const SECRET: &str = "x-secret";

/// The keyword that marks what a consumer may choose a dataset by.
pub(crate) const SELECTABLE: &str = "x-selectable";

/// The keyword that marks what differs between two datasets that are the same otherwise: keys, times, numbers counted up.
pub(crate) const VOLATILE: &str = "x-volatile";

/// What a keyword holds; `None` for one that nobody knows, which JSON Schema allows and ignores.
pub(crate) fn holds(keyword: &str) -> Option<Holds> {
    KEYWORDS.iter().find(|(name, _)| *name == keyword).map(|(_, holds)| *holds)
}

/// Every keyword.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KEYWORDS.iter().map(|(name, _)| *name)
}
