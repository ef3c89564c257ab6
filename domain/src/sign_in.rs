//! A tenant's settings of signing in: who may register, and its password policy.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Invalid;
use crate::json::whole;
use crate::password::Password;
use crate::pointer::escape;

/// Minimum lengths that a policy may require, in characters.
const LENGTHS: std::ops::RangeInclusive<u64> = 8..=128;

/// The Argon2id parameters of new password hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashing {
    /// 19 MiB, two passes.
    #[default]
    Standard,
    /// 7 MiB, five passes: for Cloudflare plans with little CPU time.
    Light,
}

impl Hashing {
    /// Reads the variable `PASSWORD_HASHING`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "standard" => Some(Self::Standard),
            "light" => Some(Self::Light),
            _ => None,
        }
    }
}

/// Who may register as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Nobody: users are invited.
    #[default]
    Closed,
    /// Whoever proves an e-mail address.
    Open,
}

/// What a new password must satisfy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordPolicy {
    /// The least number of characters, 8 to 128.
    pub min_length: u64,
    /// Whether it must contain a digit.
    pub require_digit: bool,
    /// Whether it must contain an upper-case letter.
    pub require_upper: bool,
    /// Whether it must contain a character that is neither letter nor digit.
    pub require_symbol: bool,
    /// Whether it must not contain the part of the user's address before the `@`.
    pub forbid_email: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 10, require_digit: false, require_upper: false, require_symbol: false, forbid_email: false }
    }
}

impl PasswordPolicy {
    /// Checks a new password of the user with this e-mail address.
    pub fn check(&self, password: &Password, email: &str) -> Result<(), Invalid> {
        let wrong = |message: String| Err(Invalid::new("weak_password", message));
        let password = password.normalised();
        if (password.chars().count() as u64) < self.min_length {
            return wrong(format!("must be at least {} characters long", self.min_length));
        }
        if self.require_digit && !password.chars().any(char::is_numeric) {
            return wrong("must contain a digit".into());
        }
        if self.require_upper && !password.chars().any(char::is_uppercase) {
            return wrong("must contain an upper-case letter".into());
        }
        if self.require_symbol && !password.chars().any(|c| !c.is_alphanumeric()) {
            return wrong("must contain a character that is neither letter nor digit".into());
        }
        let local = email.split('@').next().unwrap_or_default().to_lowercase();
        if self.forbid_email && local.chars().count() >= 3 && password.to_lowercase().contains(&local) {
            return wrong("must not contain the e-mail address".into());
        }
        Ok(())
    }
}

/// A tenant's settings of signing in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignInSettings {
    /// Who may register.
    pub registration: Registration,
    /// What new passwords must satisfy.
    pub passwords: PasswordPolicy,
}

impl SignInSettings {
    /// Reads a tenant's settings. An invalid member keeps its default and is reported, with its JSON pointer without the
    /// first `/`.
    pub fn read(settings: &Map<String, Value>) -> (Self, Vec<(String, Invalid)>) {
        let (mut read, mut faults) = (Self::default(), Vec::new());
        let given = |name: &str| settings.get(name).filter(|value| !value.is_null());
        match given("registration").map(Value::as_str) {
            None | Some(Some("closed")) => {}
            Some(Some("open")) => read.registration = Registration::Open,
            Some(_) => {
                faults.push(("registration".to_owned(), Invalid::new("invalid_value", "must be open or closed")));
            }
        }
        match given("password_policy") {
            None => {}
            Some(Value::Object(policy)) => {
                for (name, value) in policy {
                    if let Err(invalid) = read.passwords.set(name, value) {
                        faults.push((format!("password_policy/{}", escape(name)), invalid));
                    }
                }
            }
            Some(_) => faults.push(("password_policy".into(), Invalid::new("not_an_object", "must be an object"))),
        }
        (read, faults)
    }
}

impl PasswordPolicy {
    fn set(&mut self, name: &str, value: &Value) -> Result<(), Invalid> {
        let flag = match name {
            "min_length" => {
                let length = whole(value).and_then(|length| u64::try_from(length).ok());
                let length = length.filter(|length| LENGTHS.contains(length));
                self.min_length =
                    length.ok_or_else(|| Invalid::new("invalid_number", "must be a whole number from 8 to 128"))?;
                return Ok(());
            }
            "require_digit" => &mut self.require_digit,
            "require_upper" => &mut self.require_upper,
            "require_symbol" => &mut self.require_symbol,
            "forbid_email" => &mut self.forbid_email,
            _ => return Err(Invalid::new("unknown_field", "is not a field of this object")),
        };
        *flag = value.as_bool().ok_or_else(|| Invalid::new("not_a_flag", "must be true or false"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(settings: Value) -> (SignInSettings, Vec<String>) {
        let (read, faults) = SignInSettings::read(settings.as_object().unwrap());
        (read, faults.into_iter().map(|(pointer, _)| pointer).collect())
    }

    #[test]
    fn settings_are_read_and_their_mistakes_named() {
        let (plain, faults) = read(json!({"theme": "dark"}));
        assert_eq!((plain, faults.len()), (SignInSettings::default(), 0));
        let (open, faults) = read(json!({"registration": "open", "password_policy": {"min_length": 12}}));
        assert_eq!((open.registration, open.passwords.min_length, faults.len()), (Registration::Open, 12, 0));
        let wrong = json!({"registration": 1, "password_policy": {"min_length": 7, "require_digit": 1, "odd": true}});
        let faults = read(wrong).1;
        let expected =
            ["registration", "password_policy/min_length", "password_policy/require_digit", "password_policy/odd"];
        assert_eq!(faults, expected);
        assert_eq!(read(json!({"password_policy": []})).1, ["password_policy"]);
    }

    #[test]
    fn a_policy_holds_passwords_to_each_of_its_rules() {
        let check = |policy: &PasswordPolicy, password: &str| {
            let password = Password::parse(password, &|text| text.replace("a\u{308}", "ä"));
            password.is_ok_and(|password| policy.check(&password, "Ann.Lee@acme.test").is_ok())
        };
        let plain = PasswordPolicy::default();
        assert!(check(&plain, "ten chars!") && !check(&plain, "nine char"));
        assert!(check(&plain, "äöüäöüäöüä"), "characters count, not bytes");
        assert!(!check(&plain, &"a\u{308}".repeat(9)) && check(&plain, &"a\u{308}".repeat(10)), "of the composed form");
        assert!(!check(&plain, &"x".repeat(257)) && check(&plain, &"x".repeat(256)));
        let strict = PasswordPolicy {
            require_digit: true,
            require_upper: true,
            require_symbol: true,
            forbid_email: true,
            ..plain
        };
        assert!(check(&strict, "Good enough 1"));
        for weak in ["good enough 1", "Good enough x", "Goodenough111", "Good ann.lee 1"] {
            assert!(!check(&strict, weak), "{weak}");
        }
    }
}
