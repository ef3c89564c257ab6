//! Real numbers in a filter's text: what is printed reads back, in the fewest digits that tell a number from its neighbours.

use serde_json::Number;

/// The largest whole number that JavaScript, and so D1, tells from its neighbours.
pub const LARGEST_EXACT: u64 = 1 << 53;

/// The number; every finite one is read. -0 is 0.
pub fn read(number: f64) -> Option<f64> {
    Some(number + 0.0).filter(|number| number.is_finite())
}

/// Reads a whole number of more than 2^53 from its digits. Up to 2^64, where records hold whole numbers exactly, it must be
/// one that a double holds; what is larger is held as a double in records too.
pub fn read_whole(digits: &str) -> Option<f64> {
    let number = digits.parse::<f64>().ok().and_then(read)?;
    match digits.parse::<i128>() {
        Ok(whole) if whole.unsigned_abs() <= u128::from(u64::MAX) && number as i128 != whole => None,
        _ => Some(number),
    }
}

/// The shortest of three forms: as serde_json prints it, as its digits with an exponent, or as a whole number where that
/// reads back as a double.
pub fn print(number: f64) -> String {
    let plain = plain(number);
    let scientific = scientific(&plain);
    let shorter = if plain.len() <= scientific.len() { plain } else { scientific };
    let is_beyond = number.abs() > LARGEST_EXACT as f64 && number.is_finite();
    match is_beyond.then(|| format!("{number:.0}")) {
        Some(whole) if whole.len() <= shorter.len() => whole,
        _ => shorter,
    }
}

fn plain(number: f64) -> String {
    Number::from_f64(number).map(|number| number.to_string()).unwrap_or_default()
}

/// A JSON number's significant digits and their exponent: `-15e-1` for -1.50.
fn scientific(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let all = [whole, fraction].concat();
    let digits = all.trim_end_matches('0');
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return "0e0".to_owned();
    }
    let shift = (all.len() - digits.len()) as i64 - fraction.len() as i64;
    let exponent = exponent.parse::<i64>().unwrap_or_default().saturating_add(shift);
    format!("{sign}{significant}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_json(text: &str) -> Option<f64> {
        read(serde_json::from_str(text).ok()?)
    }

    #[test]
    fn the_shorter_form_is_printed() {
        for (number, text) in [
            (0.0, "0.0"),
            (1.5, "1.5"),
            (100.0, "1e2"),
            (-150.0, "-15e1"),
            (0.001, "1e-3"),
            (0.25, "0.25"),
            (1.5e-8, "15e-9"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e300, "1e300"),
            (f64::MAX, "17976931348623157e292"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (1e16, "1e16"),
            (-18_446_744_073_709_551_616.0, "-18446744073709552e3"),
        ] {
            assert_eq!(print(number), text);
            assert_eq!(read_json(text), Some(number));
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        for text in ["1.7976931348623159e308", "-1.8e308", "1e309", "1e99999999999999999999"] {
            assert_eq!(read_json(text), None, "{text}");
        }
        assert_eq!(read_json("-1.7976931348623157e308"), Some(f64::MIN));
        assert_eq!(read_json("-1e308"), Some(-1e308));
        assert_eq!(read_json("1.5e-9223372036854775808"), Some(0.0));
        assert!(read_json("-0.0").is_some_and(f64::is_sign_positive));
    }

    #[test]
    fn whole_numbers_beyond_the_exact_ones() {
        for (digits, number) in [
            ("9007199254740993", None),
            ("9007199254740994", Some(9_007_199_254_740_994.0)),
            ("-9223372036854775808", Some(-9_223_372_036_854_775_808.0)),
            ("9223372036854775807", None),
            ("18446744073709551615", None),
            ("18446744073709551616", Some(18_446_744_073_709_551_616.0)),
            ("18446744073709551617", Some(18_446_744_073_709_551_616.0)),
            ("123456789012345678901234567890", Some(123_456_789_012_345_678_901_234_567_890.0)),
        ] {
            assert_eq!(read_whole(digits), number, "{digits}");
        }
        assert_eq!(read_whole(&"9".repeat(309)), None);
        assert!(read_whole(&"9".repeat(308)).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn what_is_printed_reads_back(bits in any::<u64>(), small in any::<i32>()) {
            for number in [f64::from_bits(bits), f64::from(small) / 1000.0, f64::from_bits(bits).clamp(-1.0, 1.0).fract()] {
                if number.is_finite() && number != 0.0 {
                    let printed = print(number);
                    let whole = printed.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                    prop_assert_eq!(if whole { read_whole(&printed) } else { read_json(&printed) }, Some(number));
                    // As a record shows it.
                    prop_assert_eq!(read_json(&plain(number)), Some(number));
                }
            }
        }

        #[test]
        fn what_has_more_digits_is_read_as_the_nearest(text in "-?[0-9]\\.[0-9]{17,25}(e-?[1-9][0-9]?)?") {
            let (read, exact) = (read_json(&text).unwrap(), text.parse::<f64>().unwrap());
            prop_assert_eq!(read, exact);
            prop_assert_eq!(read_json(&print(read)), Some(read));
        }
    }
}
