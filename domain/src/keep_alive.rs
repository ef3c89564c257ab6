//! How often an idle stream is sent a sign of life. The Worker, which sends it, and the hub, which waits for its answer, read
//! the deployment's variable alike.

/// Seconds between two signs of life: 1 to 120, and 20 where the variable says no whole number.
pub fn seconds(variable: Option<&str>) -> u32 {
    variable.and_then(|text| text.parse().ok()).unwrap_or(20).clamp(1, 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_variable_says_is_within_bounds() {
        for (variable, read) in
            [(None, 20), (Some("5"), 5), (Some("0"), 1), (Some("600"), 120), (Some("x"), 20), (Some("-1"), 20)]
        {
            assert_eq!(seconds(variable), read, "{variable:?}");
        }
    }
}
