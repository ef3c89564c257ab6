//! The key by which a site knows that its tenant's GraphQL endpoint asks, and nobody else.
//!
//! It is made of the webhook secret, which the site has already: `hash_hmac('sha256', 'carillon-graphql', $secret)` in PHP. It
//! tells nothing of the secret, and changes with it.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use domain::hex::hex;

/// What is signed.
const PURPOSE: &[u8] = b"carillon-graphql";

/// The key of a secret as its owner was shown it: HMAC-SHA256, in hexadecimal.
pub fn of(secret: &str) -> String {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(PURPOSE);
            hex(&mac.finalize().into_bytes())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_makes_the_same_key() {
        // php -r "echo hash_hmac('sha256', 'carillon-graphql', 'whsec_dGVzdA==');"
        assert_eq!(of("whsec_dGVzdA=="), "3673d869d45073620efaf01cc9598b3fa66debf8653f173cac064a4ca19ce1bf");
    }
}
