//! Bytes in lower-case hexadecimal.

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map(|digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::hex;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_has_two_digits_that_say_it(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(hex(&bytes), written);
        }
    }
}
