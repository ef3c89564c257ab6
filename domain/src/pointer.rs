//! JSON pointers (RFC 6901).

/// A member's name as a segment of a pointer.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::escape;
    use serde_json::json;

    #[test]
    fn a_segment_finds_its_member() {
        for name in ["", "a", "a/b", "~", "~1", "/~0/", "ä"] {
            assert_eq!(json!({ name: 1 }).pointer(&format!("/{}", escape(name))), Some(&json!(1)), "{name}");
        }
    }
}
