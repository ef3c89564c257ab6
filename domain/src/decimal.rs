//! Numbers of JSON as the decimals that they are written as, where a floating-point remainder would be wrong.

use std::cmp::Ordering;

use serde_json::Number;

/// A decimal without its sign: `digits × 10^exponent`.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: u128,
    exponent: i32,
}

impl Decimal {
    /// A number as it is written in the fewest digits: 20 of them at most.
    fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole.trim_start_matches('-'), fraction].concat().parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, exponent })
    }
}

/// Whether a number is a whole multiple of another one, which must not be 0: 0.3 is one of 0.1.
pub fn is_multiple(number: &Number, of: &Number) -> bool {
    let (Some(number), Some(unit)) = (Decimal::of(number), Decimal::of(of)) else { return false };
    if unit.digits == 0 {
        return false;
    }
    let shift = number.exponent - unit.exponent;
    if shift >= 0 {
        // (digits × 10^shift) mod unit, factor by factor: no product is longer than 67 + 4 bits.
        let rest = (0..shift).fold(number.digits % unit.digits, |rest, _| rest * 10 % unit.digits);
        return rest == 0;
    }
    let unit = 10_u128.checked_pow(shift.unsigned_abs()).and_then(|scale| unit.digits.checked_mul(scale));
    // A unit that is too long for the type is longer than any number's digits.
    unit.map_or(number.digits == 0, |unit| number.digits.is_multiple_of(unit))
}

/// The order of two numbers; exact where both are whole.
pub fn order(a: &Number, b: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn multiples_are_those_of_the_decimals() {
        for (value, unit, is) in [
            ("0.3", "0.1", true),
            ("0.7", "0.1", true),
            ("19.99", "0.01", true),
            ("4.35", "0.01", true),
            ("1.1", "0.1", true),
            ("0.35", "0.1", false),
            ("-0.3", "0.1", true),
            ("0", "7", true),
            ("0.0", "0.001", true),
            ("10", "2.5", true),
            ("7", "2", false),
            ("7.0", "7", true),
            ("1e300", "7", false),
            ("7e300", "7", true),
            ("1e-7", "1e-8", true),
            ("1e-8", "1e-7", false),
            ("5e-324", "1e308", false),
            ("1.7976931348623157e308", "5e-324", true),
            ("1.7976931348623157e308", "0.0", false),
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("1e308", "0.123456789", false),
            ("18446744073709551615", "5", true),
            ("18446744073709551615", "2", false),
            ("9007199254740993", "3", true),
            ("12391239123", "1e-8", true),
        ] {
            assert_eq!(is_multiple(&number(value), &number(unit)), is, "{value} of {unit}");
        }
    }

    #[test]
    fn whole_numbers_are_ordered_exactly() {
        let order = |a, b| super::order(&number(a), &number(b));
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("18446744073709551614", "18446744073709551615"), Ordering::Less);
        assert_eq!(order("-1", "0.5"), Ordering::Less);
        assert_eq!(order("2.0", "2"), Ordering::Equal);
        assert_eq!(order("1.7976931348623157e308", "18446744073709551615"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn a_product_is_a_multiple(factor in 0i64..1_000_000, digits in 1i64..1_000_000, places in 0u32..7) {
            let decimal = |digits: i64| number(&format!("{digits}e-{places}"));
            prop_assert!(is_multiple(&decimal(factor * digits), &decimal(digits)));
            prop_assert_eq!(is_multiple(&decimal(factor * digits + 1), &decimal(digits)), digits == 1);
        }

        #[test]
        fn no_number_breaks_it(a in any::<f64>(), b in any::<f64>(), c in any::<u64>()) {
            for (a, b) in [(Number::from_f64(a), Number::from_f64(b)), (Number::from_f64(a), Some(Number::from(c)))] {
                if let (Some(a), Some(b)) = (a, b) {
                    is_multiple(&a, &b);
                    is_multiple(&b, &a);
                }
            }
        }
    }
}
