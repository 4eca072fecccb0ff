//! Matching: whether a dataset that is there is what somebody asks for.
//!
//! What was made has its defaults filled in. What a wish leaves open matches anything, also where the contract has a default for it.

use serde_json::{Map, Value};

use crate::schema::canonical_json;

/// Whether a dataset made from `made`, its defaults filled in, may be handed to who wants `wanted`, as they have given it.
///
/// Every property that is wanted must be there and be equal, objects inside objects alike. Scalars and lists are compared
/// digit by digit: `1` and `1.0` are different.
pub fn matches(wanted: &Value, made: &Value) -> bool {
    match (wanted, made) {
        (Value::Object(wanted), Value::Object(made)) => {
            wanted.iter().all(|(name, wanted)| made.get(name).is_some_and(|made| matches(wanted, made)))
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        (wanted, made) => canonical_json(wanted) == canonical_json(made),
    }
}

/// How many of the properties that somebody prefers a dataset has, those inside objects counted one by one.
///
/// It ranks what matches, the highest first, and excludes nothing.
pub fn prefers(preferred: &Value, made: &Value) -> usize {
    let Value::Object(preferred) = preferred else { return 0 };
    let of_one = |(name, preferred): (&String, &Value)| match (preferred, made.get(name)) {
        (_, None) => 0,
        (Value::Object(_), Some(made)) => prefers(preferred, made),
        (_, Some(made)) => usize::from(matches(preferred, made)),
    };
    preferred.iter().map(of_one).sum()
}

/// Whether an output meets criteria; `selected` is what its schema [marks](crate::schema::Schema::selectable) of it.
///
/// A criterion is a scalar, or a list of scalars of which any will do; criteria on what is inside of an object are inside of
/// an object too. A property that is absent meets none.
pub fn selects(criteria: &Map<String, Value>, selected: &Map<String, Value>) -> bool {
    criteria.iter().all(|(name, criterion)| match (criterion, selected.get(name)) {
        (_, None) => false,
        (Value::Object(criteria), Some(Value::Object(selected))) => selects(criteria, selected),
        (Value::Array(any), Some(value)) => any.iter().any(|one| matches(one, value)),
        (one, Some(value)) => matches(one, value),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_property_that_is_wanted_must_be_equal() {
        for (wanted, made, fits) in [
            (json!({}), json!({}), true),
            (json!({}), json!({"country": "FR"}), true),
            (json!({"country": "FR"}), json!({"country": "FR"}), true),
            (json!({"country": "FR"}), json!({"country": "FR", "lines": 2}), true),
            (json!({"country": "FR"}), json!({"country": "CZ"}), false),
            (json!({"country": "FR"}), json!({}), false),
            (json!({"country": null}), json!({}), false),
            (json!({"country": null}), json!({"country": null}), true),
            (json!({"country": "FR", "lines": 3}), json!({"country": "FR", "lines": 2}), false),
            (json!({"lines": 2}), json!({"lines": "2"}), false),
            (json!({"address": {"zone": "A"}}), json!({"address": {"zone": "A", "street": "x"}}), true),
            (json!({"address": {"zone": "A"}}), json!({"address": {"zone": "B"}}), false),
            (json!({"address": {}}), json!({"address": "here"}), false),
            (json!({"address": "here"}), json!({"address": {}}), false),
            (json!({"tags": ["a", "b"]}), json!({"tags": ["a", "b"]}), true),
            (json!({"tags": ["a"]}), json!({"tags": ["a", "b"]}), false),
            (json!({"tags": ["b", "a"]}), json!({"tags": ["a", "b"]}), false),
            (json!({"list": [{"b": 1, "a": 2}]}), json!({"list": [{"a": 2, "b": 1}]}), true),
            (json!({"list": [{"a": 2}]}), json!({"list": [{"a": 2, "b": 1}]}), false),
        ] {
            assert_eq!(matches(&wanted, &made), fits, "{wanted} {made}");
        }
    }

    #[test]
    fn numbers_are_compared_digit_by_digit() {
        let number = |text: &str| json!({"n": serde_json::from_str::<Value>(text).unwrap()});
        assert!(matches(&number("12345678901234567890123"), &number("12345678901234567890123")));
        assert!(!matches(&number("12345678901234567890123"), &number("12345678901234567890124")));
        assert!(!matches(&number("1"), &number("1.0")));
    }

    #[test]
    fn a_preference_counts_what_it_meets_and_excludes_nothing() {
        let made = json!({"country": "FR", "lines": 2, "address": {"zone": "A", "floor": 1}});
        for (preferred, count) in [
            (json!({}), 0),
            (json!({"country": "CZ"}), 0),
            (json!({"country": "FR"}), 1),
            (json!({"country": "FR", "lines": 3}), 1),
            (json!({"country": "FR", "lines": 2, "colour": "red"}), 2),
            (json!({"address": {"zone": "A", "floor": 2}}), 1),
            (json!({"address": {"zone": "A", "floor": 1}, "lines": 2}), 3),
            (json!({"address": "A"}), 0),
            (json!({"country": {"code": "FR"}}), 0),
            (json!("FR"), 0),
        ] {
            assert_eq!(prefers(&preferred, &made), count, "{preferred}");
        }
    }

    #[test]
    fn a_criterion_is_met_by_any_of_its_values() {
        let selected = json!({"plan": "gold", "seats": 5, "address": {"zone": "A"}});
        for (criteria, met) in [
            (json!({}), true),
            (json!({"plan": "gold"}), true),
            (json!({"plan": "silver"}), false),
            (json!({"plan": ["silver", "gold"]}), true),
            (json!({"plan": []}), false),
            (json!({"seats": 5, "plan": "gold"}), true),
            (json!({"seats": "5"}), false),
            (json!({"address": {"zone": ["A", "B"]}}), true),
            (json!({"address": {"zone": "B"}}), false),
            (json!({"address": "A"}), false),
            (json!({"colour": "red"}), false),
            (json!({"colour": null}), false),
        ] {
            let (criteria, selected) = (criteria.as_object().unwrap(), selected.as_object().unwrap());
            assert_eq!(selects(criteria, selected), met, "{criteria:?}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4_i32).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                object(inner).prop_map(Value::Object),
            ]
        })
    }

    fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|members| members.into_iter().collect())
    }

    /// The wish with one property opened; `None` when there is none left at that place.
    fn opened(wanted: &Value, path: &[usize]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let mut members = wanted.as_object()?.clone();
        let name = members.keys().nth(first % members.len().max(1))?.clone();
        match opened(&members[&name], rest) {
            Some(inner) => members.insert(name, inner),
            None => members.remove(&name),
        };
        Some(Value::Object(members))
    }

    proptest! {
        #[test]
        fn everything_matches_itself(value in value()) {
            prop_assert!(matches(&value, &value));
        }

        #[test]
        fn opening_a_property_never_loses_a_match(
            made in object(value()), wanted in object(value()), keep in any::<u8>(), path in prop::collection::vec(any::<usize>(), 1..4),
        ) {
            // Properties of the dataset itself, so that many of the wishes match, and some of others.
            let mut wish = Map::new();
            for (place, (name, value)) in made.iter().enumerate().filter(|(place, _)| keep >> (place % 8) & 1 == 1) {
                let value = if place == 0 { wanted.get(name).unwrap_or(value) } else { value };
                wish.insert(name.clone(), value.clone());
            }
            let (made, wish) = (Value::Object(made), Value::Object(wish));
            if let Some(opened) = opened(&wish, &path)
                && matches(&wish, &made)
            {
                prop_assert!(matches(&opened, &made), "{} opened to {}", wish, opened);
            }
        }

        #[test]
        fn what_is_preferred_entirely_is_ranked_above_all_else(made in object(value()), other in object(value())) {
            let (made, other) = (Value::Object(made), Value::Object(other));
            prop_assert!(prefers(&made, &other) <= prefers(&made, &made));
        }
    }
}
