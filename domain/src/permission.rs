//! Permissions, named `resource:action`, and sets of them.
//!
//! A tenant's permissions and the platform's are two types, so that one cannot be used in place of the other.

use serde_json::Value;

use crate::error::Invalid;

macro_rules! permissions {
    (described $($listed:tt)*) => {
        permissions! { $($listed)* }
        permissions! { @about $($listed)* }
    };
    (@about $(#[$doc:meta])* $kind:ident, $(#[$set_doc:meta])* $set:ident { $(#[doc = $about:literal] $name:ident = $text:literal,)+ }) => {
        impl $kind {
            /// What it permits: a sentence.
            pub fn about(self) -> &'static str {
                let text = match self { $(Self::$name => $about),+ };
                text.trim_ascii()
            }
        }
    };
    ($(#[$doc:meta])* $kind:ident, $(#[$set_doc:meta])* $set:ident { $(#[doc = $about:literal] $name:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind { $(#[doc = $about] $name),+ }

        impl $kind {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name, `resource:action`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }

        // A set holds one bit for each.
        const _: () = assert!($kind::ALL.len() <= u64::BITS as usize);

        $(#[$set_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set(u64);

        impl $set {
            /// Every permission, also those that later versions add.
            pub const ALL: Self = Self(u64::MAX);

            /// The set of exactly these.
            pub const fn of(listed: &[$kind]) -> Self {
                let (mut bits, mut rest) = (0, listed);
                while let Some((first, after)) = rest.split_first() {
                    bits |= 1 << *first as u32;
                    rest = after;
                }
                Self(bits)
            }

            /// Whether a permission is in the set.
            pub const fn has(self, permission: $kind) -> bool {
                self.0 & (1 << permission as u32) != 0
            }

            /// Whether all of `other` is in the set.
            pub const fn covers(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The union.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The intersection.
            #[must_use]
            pub const fn within(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// Reads an entry of a list: a name, `resource:*` or `*`.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                if text == "*" {
                    return Ok(Self::ALL);
                }
                let resource = text.strip_suffix('*').filter(|resource| resource.ends_with(':'));
                let meant = $kind::ALL.iter().filter(|permission| match resource {
                    Some(resource) => permission.as_str().starts_with(resource),
                    None => permission.as_str() == text,
                });
                let bits = meant.fold(0, |bits, permission| bits | 1 << *permission as u32);
                if bits == 0 {
                    return Err(Invalid::new("unknown_permission", "must be a permission such as users:read, users:* or *"));
                }
                Ok(Self(bits))
            }

            /// Reads a stored JSON list, which was checked when it was written. Names that no longer exist are ignored.
            pub fn stored(json: &str) -> Self {
                let listed: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
                let sets = listed.iter().filter_map(Value::as_str).filter_map(|text| Self::parse(text).ok());
                sets.fold(Self(0), |all, set| Self(all.0 | set.0))
            }

            /// The names of the set's permissions.
            pub fn names(self) -> Vec<&'static str> {
                $kind::ALL.iter().filter(|permission| self.has(**permission)).map(|permission| permission.as_str()).collect()
            }
        }
    };
}

permissions! { described
    /// What somebody may do in a tenant.
    Permission,
    /// A set of a tenant's permissions.
    Permissions {
        /// See API keys.
        ApiKeysRead = "api-keys:read",
        /// Make, change, re-roll and revoke API keys.
        ApiKeysWrite = "api-keys:write",
        /// See users.
        UsersRead = "users:read",
        /// Change users, give them roles, disable and remove them.
        UsersWrite = "users:write",
        /// See roles.
        RolesRead = "roles:read",
        /// Make and change roles.
        RolesWrite = "roles:write",
        /// See invitations.
        InvitationsRead = "invitations:read",
        /// Invite.
        InvitationsWrite = "invitations:write",
        /// See providers and clients of single sign-on.
        SsoRead = "sso:read",
        /// Change providers and clients of single sign-on.
        SsoWrite = "sso:write",
        /// Read what a site needs to connect, secrets included.
        TenantConfigure = "tenant:configure",
        /// See all events, private ones too.
        EventsRead = "events:read",
        /// Mint subscriber tokens.
        SubscriberTokensWrite = "subscriber-tokens:write",
        /// Read the tenant's audit.
        AuditRead = "audit:read",
        /// See what collections there are.
        CollectionsRead = "collections:read",
        /// Make, change and delete collections.
        CollectionsWrite = "collections:write",
        /// Read records, their versions and their files.
        RecordsRead = "records:read",
        /// Make, change and delete records and their files.
        RecordsWrite = "records:write",
        /// See the tenant's settings.
        SettingsRead = "settings:read",
        /// Change the tenant's settings and branding.
        SettingsWrite = "settings:write",
        /// See what the cache of GraphQL answers keeps, and why.
        CacheRead = "cache:read",
        /// Purge kept GraphQL answers and lists of records.
        CachePurge = "cache:purge",
        /// See the registry of GraphQL documents.
        DocumentsRead = "documents:read",
        /// Change the registry of GraphQL documents, and ask the site any document where others ask registered ones only.
        DocumentsWrite = "documents:write",
    }
}

permissions! {
    /// What somebody may do on the platform.
    PlatformPermission,
    /// A set of the platform's permissions.
    PlatformPermissions {
        /// See tenants.
        TenantsRead = "tenants:read",
        /// Make, change and delete tenants, their domains and secrets.
        TenantsWrite = "tenants:write",
        /// Enter a tenant: act there with a role.
        TenantsEnter = "tenants:enter",
        /// Act as one of a tenant's users.
        UsersImpersonate = "users:impersonate",
        /// See platform keys.
        PlatformKeysRead = "platform-keys:read",
        /// Make and revoke platform keys.
        PlatformKeysWrite = "platform-keys:write",
        /// See operators.
        OperatorsRead = "operators:read",
        /// Make, change and remove operators and what they may enter.
        OperatorsWrite = "operators:write",
        /// Rotate signing keys and wrap data keys anew.
        KeysRotate = "keys:rotate",
        /// Vouch that a custom domain is a tenant's, in place of its DNS record.
        DomainsVouch = "domains:vouch",
    }
}

/// The role of a user where none is given: of who is made, invited, or registers. Who comes by single sign-on has the role
/// that the provider's settings name, and none by default, because an issuer may vouch for everybody.
pub const DEFAULT_ROLE: &str = "viewer";

/// The roles that every tenant has. Two of them have two customary names.
pub const BUILT_IN_ROLES: &[(&str, Permissions)] = &[
    ("owner", Permissions::ALL),
    ("admin", Permissions::ALL),
    ("editor", EDITOR),
    ("user", EDITOR),
    ("viewer", VIEWER),
];

impl Permissions {
    /// The permissions of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

const VIEWER: Permissions = Permissions::of(&[
    Permission::EventsRead,
    Permission::CollectionsRead,
    Permission::RecordsRead,
    Permission::SettingsRead,
]);

const EDITOR: Permissions = VIEWER.with(Permissions::of(&[
    Permission::UsersRead,
    Permission::RolesRead,
    Permission::InvitationsRead,
    Permission::RecordsWrite,
]));

/// The permissions of a role: a built-in one's, else those in `own`, the stored list of the tenant's own role, else none.
pub fn permissions_of(role: &str, own: Option<&str>) -> Permissions {
    match BUILT_IN_ROLES.iter().find(|(name, _)| *name == role) {
        Some((_, permissions)) => *permissions,
        None => own.map(Permissions::stored).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_for_what_they_say() {
        assert_eq!(Permissions::parse("users:read").unwrap().names(), ["users:read"]);
        assert_eq!(Permissions::parse("users:*").unwrap().names(), ["users:read", "users:write"]);
        assert!(Permissions::parse("*").unwrap().covers(Permissions::ALL));
        for bad in ["", "users", "users:", "user*", "*:read", "tenants:read", "**"] {
            assert!(Permissions::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_longer_known_adds_nothing() {
        let set = Permissions::stored(r#"["users:read", "gone:read", 7]"#);
        assert_eq!(set.names(), ["users:read"]);
        assert_eq!(Permissions::stored("no json"), Permissions::default());
    }

    #[test]
    fn roles_built_in_go_before_own_ones() {
        assert!(permissions_of("owner", None).has(Permission::SsoWrite));
        assert_eq!(permissions_of("viewer", Some(r#"["*"]"#)), permissions_of("viewer", None));
        assert_eq!(permissions_of("press", Some(r#"["audit:read"]"#)).names(), ["audit:read"]);
        assert_eq!(permissions_of("press", None).names(), [""; 0]);
    }
}
