//! Lower case and normal forms, by the runtime's tables of Unicode, so that the Wasm need not contain them.

/// Text in lower case, by JavaScript's `toLowerCase`.
pub fn lower_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    js_sys::JsString::from(text).to_lower_case().into()
}

/// Text in Unicode's normal form C, by JavaScript's `normalize`.
pub fn normalize(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    js_sys::JsString::from(text).normalize("NFC").into()
}
