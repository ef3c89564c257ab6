//! Letters as the runtime knows them: the tables of Unicode stand there and need not be shipped.

/// Text in lower case.
pub fn lower_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    js_sys::JsString::from(text).to_lower_case().into()
}
