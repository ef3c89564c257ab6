//! E-mail addresses.

use crate::error::Invalid;
use crate::host::Host;
use crate::text::bounded;

/// An e-mail address, as it was written.
pub fn parse_email(text: &str) -> Result<String, Invalid> {
    let text = bounded(text, 254)?;
    let shape = text.split_once('@').is_some_and(|(local, domain)| {
        // Neither a port nor a dot at the end, which a host may have.
        let is_name = |host: Host| host.as_str().eq_ignore_ascii_case(domain);
        !local.is_empty() && !text.contains(' ') && Host::parse(domain).is_ok_and(is_name)
    });
    if shape { Ok(text) } else { Err(Invalid::new("invalid_email", "must be an e-mail address")) }
}
