//! Path segments as types: what is no id is nowhere, and nothing is normalised to become one.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::problem::Problem;

/// The segments that a route names, in order: `Path((id,)): Path<(LeaseId,)>`.
///
/// A segment that its type refuses is 404, the same as an absent one.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// Types made of the segments of a path: tuples of one to three.
pub trait FromSegments: Sized {
    /// Reads the decoded segments; `None` when there are too few or one is refused.
    fn from_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Option<Self>;
}

impl<A: FromStr> FromSegments for (A,) {
    fn from_segments<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some((segments.next()?.parse().ok()?,))
    }
}

impl<A: FromStr, B: FromStr> FromSegments for (A, B) {
    fn from_segments<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some((segments.next()?.parse().ok()?, segments.next()?.parse().ok()?))
    }
}

impl<A: FromStr, B: FromStr, C: FromStr> FromSegments for (A, B, C) {
    fn from_segments<'a>(mut segments: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some((segments.next()?.parse().ok()?, segments.next()?.parse().ok()?, segments.next()?.parse().ok()?))
    }
}

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: FromSegments,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let absent = || Problem::not_found("not_found", "There is nothing with this id or name here.");
        let raw = RawPathParams::from_request_parts(parts, state).await.map_err(|_| absent())?;
        T::from_segments(raw.iter().map(|(_, segment)| segment)).map(Self).ok_or_else(absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_in_order_or_not_at_all() {
        assert_eq!(<(String, u8)>::from_segments(["a", "7"].into_iter()), Some(("a".to_owned(), 7)));
        assert_eq!(<(String, u8)>::from_segments(["a", "x"].into_iter()), None);
        assert_eq!(<(u8, u8)>::from_segments(["1"].into_iter()), None);
    }
}
