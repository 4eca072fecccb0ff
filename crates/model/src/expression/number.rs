//! Numbers of expressions: integers of 64 bits, signed or not, and doubles, mixed as JSON mixes them.

use std::cmp::Ordering;

use serde_json::Number as Json;

use super::syntax::Operator;

/// A number that is calculated with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    UInt(u64),
    Double(f64),
}

/// Why a calculation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Impossible {
    DivisionByZero,
    Overflow,
    /// The remainder of doubles.
    NotDefined,
}

impl Number {
    /// Reads a number of a JSON document; one with a fraction, or beyond 64 bits, becomes a double.
    ///
    /// `None` when it is larger than any double.
    pub(crate) fn read(json: &Json) -> Option<Self> {
        if let Some(value) = json.as_i64() {
            return Some(Number::Int(value));
        }
        if let Some(value) = json.as_u64() {
            return Some(Number::UInt(value));
        }
        json.as_f64().filter(|value| value.is_finite()).map(Number::Double)
    }

    /// The number as JSON; `None` when JSON has no such number (infinite, not a number).
    pub(crate) fn write(self) -> Option<Json> {
        match self {
            Number::Int(value) => Some(value.into()),
            Number::UInt(value) => Some(value.into()),
            Number::Double(value) => Json::from_f64(value),
        }
    }

    pub(crate) fn double(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::UInt(value) => value as f64,
            Number::Double(value) => value,
        }
    }

    fn whole(self) -> Option<i128> {
        match self {
            Number::Int(value) => Some(value.into()),
            Number::UInt(value) => Some(value.into()),
            Number::Double(_) => None,
        }
    }

    /// Compares by value across kinds; `None` when one is not a number.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self.whole(), other.whole()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            (Some(left), None) => compare_mixed(left, other.double()),
            (None, Some(right)) => compare_mixed(right, self.double()).map(Ordering::reverse),
            (None, None) => self.double().partial_cmp(&other.double()),
        }
    }

    pub(crate) fn negate(self) -> Result<Self, Impossible> {
        match self {
            Number::Int(value) => value.checked_neg().map(Number::Int).ok_or(Impossible::Overflow),
            Number::UInt(_) => Err(Impossible::Overflow),
            Number::Double(value) => Ok(Number::Double(-value)),
        }
    }

    /// `self operator other` for the five operators of arithmetic.
    pub(crate) fn calculate(self, operator: Operator, other: Self) -> Result<Self, Impossible> {
        let (Some(left), Some(right)) = (self.whole(), other.whole()) else {
            return calculate_doubles(self.double(), operator, other.double());
        };
        let result = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide if right == 0 => return Err(Impossible::DivisionByZero),
            Operator::Divide => left.checked_div(right),
            _ if right == 0 => return Err(Impossible::DivisionByZero),
            _ => left.checked_rem(right),
        };
        let signed = matches!((self, other), (Number::Int(_), _) | (_, Number::Int(_)));
        let result = result.ok_or(Impossible::Overflow)?;
        if signed && let Ok(value) = i64::try_from(result) {
            return Ok(Number::Int(value));
        }
        // Two signed numbers never become an unsigned one: CEL calls that an overflow.
        if matches!((self, other), (Number::Int(_), Number::Int(_))) {
            return Err(Impossible::Overflow);
        }
        u64::try_from(result).map(Number::UInt).map_err(|_| Impossible::Overflow)
    }
}

fn calculate_doubles(left: f64, operator: Operator, right: f64) -> Result<Number, Impossible> {
    match operator {
        Operator::Add => Ok(Number::Double(left + right)),
        Operator::Subtract => Ok(Number::Double(left - right)),
        Operator::Multiply => Ok(Number::Double(left * right)),
        // CEL would make it infinite, which no JSON can carry: it is caught where it happens.
        Operator::Divide if right == 0.0 => Err(Impossible::DivisionByZero),
        Operator::Divide => Ok(Number::Double(left / right)),
        _ => Err(Impossible::NotDefined),
    }
}

fn compare_mixed(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Doubles beyond 2^64 saturate here, and still compare as larger than every 64 bit integer.
    let floor = double.floor();
    Some(match whole.cmp(&(floor as i128)) {
        Ordering::Equal if double > floor => Ordering::Less,
        ordering => ordering,
    })
}

/// Whether two JSON numbers have the same value, whatever their size: `1.50` and `15e-1` do.
pub(crate) fn same_digits(one: &str, other: &str) -> bool {
    one == other || normal(one).is_some_and(|normal_one| normal(other) == Some(normal_one))
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
fn normal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = i64::try_from(digits.len() - trimmed.len()).ok()?;
    let power =
        exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    Some((negative, trimmed.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_compare_exactly_with_doubles() {
        let beyond = Number::Double(9_007_199_254_740_992.0);
        assert_eq!(Number::Int(9_007_199_254_740_993).compare(beyond), Some(Ordering::Greater));
        assert_eq!(Number::Int(2).compare(Number::Double(2.5)), Some(Ordering::Less));
        assert_eq!(Number::Int(-3).compare(Number::Double(-2.5)), Some(Ordering::Less));
        assert_eq!(Number::UInt(u64::MAX).compare(Number::Double(1e300)), Some(Ordering::Less));
        assert_eq!(Number::Int(1).compare(Number::Double(f64::NAN)), None);
    }

    #[test]
    fn calculation_beyond_64_bits_is_an_overflow() {
        let max = Number::Int(i64::MAX);
        assert_eq!(max.calculate(Operator::Add, Number::Int(1)), Err(Impossible::Overflow));
        assert_eq!(
            Number::Int(i64::MIN).calculate(Operator::Divide, Number::Int(-1)),
            Err(Impossible::Overflow)
        );
        assert_eq!(Number::UInt(1).calculate(Operator::Subtract, Number::UInt(2)), Err(Impossible::Overflow));
        assert_eq!(
            Number::Int(1).calculate(Operator::Divide, Number::Int(0)),
            Err(Impossible::DivisionByZero)
        );
        assert_eq!(
            Number::Double(1.0).calculate(Operator::Divide, Number::Int(0)),
            Err(Impossible::DivisionByZero)
        );
    }

    #[test]
    fn equality_counts_every_digit() {
        for (one, other) in
            [("1.50", "15e-1"), ("0", "-0.00"), ("1e2", "100"), ("1E+2", "100.0"), ("-3", "-3.0")]
        {
            assert!(same_digits(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("1", "-1"),
            ("10", "1"),
            ("0.1", "0.10000000000000000001"),
            ("1e99999999999999999999", "2e99999999999999999999"),
        ] {
            assert!(!same_digits(one, other), "{one} {other}");
        }
    }
}
