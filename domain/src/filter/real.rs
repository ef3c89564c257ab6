//! Real numbers in a filter's text: what is printed reads back, in the fewest digits that tell a number from its neighbours.

use serde_json::Number;

/// The largest number that is read.
const LARGEST: f64 = 1e308;

/// The number, within bounds. -0 is 0.
pub fn read(number: f64) -> Option<f64> {
    Some(number + 0.0).filter(|number| number.abs() <= LARGEST)
}

/// The shorter of two forms: as serde_json prints it, or as its digits with an exponent.
pub fn print(number: f64) -> String {
    let plain = plain(number);
    let scientific = scientific(&plain);
    if plain.len() <= scientific.len() { plain } else { scientific }
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
        ] {
            assert_eq!(print(number), text);
            assert_eq!(read_json(text), Some(number));
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        for text in ["1.0000000000000002e308", "-1.7976931348623157e308", "1e309", "1e99999999999999999999"] {
            assert_eq!(read_json(text), None, "{text}");
        }
        assert_eq!(read_json("-1e308"), Some(-1e308));
        assert_eq!(read_json("1.5e-9223372036854775808"), Some(0.0));
        assert!(read_json("-0.0").is_some_and(f64::is_sign_positive));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn what_is_printed_reads_back(bits in any::<u64>(), small in any::<i32>()) {
            for number in [f64::from_bits(bits), f64::from(small) / 1000.0, f64::from_bits(bits).clamp(-1.0, 1.0).fract()] {
                if number.abs() <= LARGEST && number != 0.0 {
                    prop_assert_eq!(read_json(&print(number)), Some(number));
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
