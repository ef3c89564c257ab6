//! Which credential an endpoint asks for, what a request draws from, and who may do what.

use worker::Method;

use super::denial::Denial;
use super::facts::Presents;
use crate::hub::protocol::RequestClass;
use crate::routes::{Admission, Endpoint, JudgedBy, Route, TokenRule};
use domain::hearing::HearingRights;
use domain::permission::{Permission, Permissions, PlatformPermission, PlatformPermissions};

/// Which credential of a request to a tenant is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifies {
    /// None.
    Nothing,
    /// What a subscriber presents: a token, or the credential of somebody who acts in the tenant.
    Subscriber(TokenRule),
    /// The key, token or session of somebody who acts in the tenant.
    Principal,
}

/// How fresh the configuration must be that a request is judged by. A HEAD of what a visitor opens or reads asks nobody
/// else, and neither does a path without an operation.
pub fn judged_by(route: Option<&Route>, method: &Method) -> JudgedBy {
    match route {
        Some(Route { endpoint: Endpoint::Visitor(..), .. }) if *method == Method::Head => JudgedBy::Current,
        Some(route) => route.judged_by,
        None => JudgedBy::Current,
    }
}

/// Whether a refusal may come from a configuration that nothing was compared with: nobody was proven, and no rows were read
/// for a stranger.
pub fn may_be_outdated(route: Option<&Route>, is_somebodys: bool, presents: Presents) -> bool {
    match route {
        None => false,
        Some(route) => match route.endpoint {
            Endpoint::Reader(..) | Endpoint::TableReader(..) => !is_somebodys && presents != Presents::Nothing,
            Endpoint::Member(..) | Endpoint::User(_) => !is_somebodys,
            Endpoint::Visitor(..) | Endpoint::SignIn(_) | Endpoint::Signer(_) => route.judged_by == JudgedBy::Cached,
            Endpoint::Anyone(_) | Endpoint::Operator(..) | Endpoint::SignedInOperator(_) | Endpoint::Table(_) => false,
        },
    }
}

/// Which credential an endpoint asks for; without an operation, none.
pub fn verifies(endpoint: Option<&Endpoint>) -> Verifies {
    match endpoint {
        Some(Endpoint::Member(..) | Endpoint::Reader(..) | Endpoint::User(_) | Endpoint::TableReader(..)) => {
            Verifies::Principal
        }
        Some(Endpoint::Visitor(
            rule @ (TokenRule::Optional | TokenRule::Required | TokenRule::Mercure | TokenRule::PassedOn),
            _,
        )) => Verifies::Subscriber(*rule),
        Some(
            Endpoint::Anyone(_)
            | Endpoint::Operator(..)
            | Endpoint::SignedInOperator(_)
            | Endpoint::Visitor(TokenRule::Ignored, _)
            | Endpoint::SignIn(_)
            | Endpoint::Signer(_)
            | Endpoint::Table(_),
        )
        | None => Verifies::Nothing,
    }
}

/// Whose allowance a request spends, by who was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spends {
    /// Nobody was proven: that of strangers.
    Strangers,
    /// A user, a key or a subscriber of the tenant: that of the tenant.
    Tenants,
    /// An operator who acts in the tenant, for themselves or as a user: nobody's.
    Nothing,
}

/// The class that a request draws on: streams and webhooks are counted by the hub when they come about, and a path without
/// an operation draws from the requests of strangers.
pub fn request_class(admission: Option<Admission>, spends: Spends) -> Option<RequestClass> {
    match (admission, spends) {
        (Some(Admission::Streams | Admission::Webhooks | Admission::Unmetered), _) | (_, Spends::Nothing) => None,
        (Some(Admission::Requests) | None, Spends::Tenants) => Some(RequestClass::Api),
        (Some(Admission::Requests) | None, Spends::Strangers) => Some(RequestClass::Anonymous),
    }
}

/// How a request to a tenant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestResult {
    /// It got what it asked for.
    Succeeded,
    /// Its credential is not valid.
    NotProved,
    /// Something else is wrong.
    Failed,
}

/// Whether a request that did not prove anybody to the pipeline keeps the permit that it took. Streams that open, webhooks
/// that are accepted and files that are public give it back, and so does whoever proved somebody to the handler.
pub fn keeps_permit(admission: Option<Admission>, result: RequestResult, proved_to_handler: bool) -> bool {
    match (admission, result) {
        (Some(Admission::Requests) | None, _) => true,
        (Some(Admission::Streams | Admission::Webhooks | Admission::Unmetered), RequestResult::Succeeded) => false,
        (
            Some(Admission::Streams | Admission::Webhooks | Admission::Unmetered),
            RequestResult::NotProved | RequestResult::Failed,
        ) => !proved_to_handler,
    }
}

/// Every tenant that a request names, by header, query or token, must be the one it is for.
pub fn agree(named: &[String], in_token: Option<&str>, tenant: &str) -> Result<(), Denial> {
    let agree = named.iter().map(String::as_str).chain(in_token).all(|named| named == tenant);
    if agree { Ok(()) } else { Err(Denial::CrossesTenants) }
}

/// Whether an endpoint may be called from an address, by whether the tenant's list lets it in. What the site shows to
/// everybody is not bound to addresses, unless somebody who acts in the tenant (`acts`) asks for it as such.
pub fn check_address(endpoint: &Endpoint, acts: bool, is_let_in: bool) -> Result<(), Denial> {
    match endpoint {
        Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_)
        | Endpoint::SignIn(_)
        | Endpoint::TableReader(..)
            if !is_let_in =>
        {
            Err(Denial::AddressNotAllowed)
        }
        Endpoint::Visitor(..) if acts && !is_let_in => Err(Denial::AddressNotAllowed),
        Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_)
        | Endpoint::SignIn(_)
        | Endpoint::TableReader(..)
        | Endpoint::Visitor(..)
        | Endpoint::Signer(_) => Ok(()),
        Endpoint::Anyone(_) | Endpoint::Operator(..) | Endpoint::SignedInOperator(_) | Endpoint::Table(_) => {
            Err(Denial::NotFound)
        }
    }
}

/// Whether an operator may call an endpoint.
pub fn authorise_operator(
    endpoint: &Endpoint,
    permissions: PlatformPermissions,
    is_person: bool,
) -> Result<(), Denial> {
    match endpoint {
        Endpoint::Operator(permission, _) => has_platform(permissions, *permission),
        Endpoint::SignedInOperator(_) if is_person => Ok(()),
        Endpoint::SignedInOperator(_) => Err(Denial::NotSignedIn),
        Endpoint::Anyone(_)
        | Endpoint::Member(..)
        | Endpoint::Reader(..)
        | Endpoint::User(_)
        | Endpoint::Visitor(..)
        | Endpoint::SignIn(_)
        | Endpoint::Signer(_)
        | Endpoint::Table(_)
        | Endpoint::TableReader(..) => Err(Denial::NotFound),
    }
}

/// Whether an operator has a permission.
pub(super) fn has_platform(permissions: PlatformPermissions, permission: PlatformPermission) -> Result<(), Denial> {
    if permissions.has(permission) { Ok(()) } else { Err(Denial::Forbidden(permission.as_str())) }
}

/// Whether a principal of the tenant may call an endpoint.
pub fn authorise(endpoint: &Endpoint, permissions: Permissions, is_user: bool) -> Result<(), Denial> {
    match endpoint {
        Endpoint::Member(permission, _) | Endpoint::Reader(permission, _) | Endpoint::TableReader(permission, _) => {
            has(permissions, *permission)
        }
        Endpoint::User(_) if is_user => Ok(()),
        // Whoever is of the tenant; what a request does at the site, the site decides.
        Endpoint::Visitor(TokenRule::PassedOn, _) => Ok(()),
        Endpoint::User(_) => Err(Denial::NotAUser),
        // Which events it hears is up to the hub; whoever may hear none opens no stream as somebody.
        Endpoint::Visitor(TokenRule::Optional | TokenRule::Required | TokenRule::Mercure, _) => {
            match HearingRights::of(permissions).is_none() {
                true => Err(Denial::Forbidden(Permission::EventsRead.as_str())),
                false => Ok(()),
            }
        }
        Endpoint::Anyone(_)
        | Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Visitor(TokenRule::Ignored, _)
        | Endpoint::SignIn(_)
        | Endpoint::Signer(_)
        | Endpoint::Table(_) => Err(Denial::NotFound),
    }
}

fn has(permissions: Permissions, permission: Permission) -> Result<(), Denial> {
    if permissions.has(permission) { Ok(()) } else { Err(Denial::Forbidden(permission.as_str())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::decide::endpoints::{self, ASKED, ASKED_OF_OPERATORS};
    use crate::routes;

    const OTHERS: Permissions = Permissions::of(&[Permission::UsersWrite, Permission::RolesRead]);

    #[test]
    fn an_endpoint_is_open_to_whom_it_names_and_to_nobody_else() {
        for (name, endpoint) in endpoints::all() {
            for (permissions, has) in [(OTHERS, false), (Permissions::of(&[ASKED]), true), (Permissions::ALL, true)] {
                for is_user in [false, true] {
                    let expected = match name {
                        "member" | "reader" | "table reader" if has => Ok(()),
                        "member" | "reader" | "table reader" => Err(Denial::Forbidden("users:read")),
                        "user" if is_user => Ok(()),
                        "user" => Err(Denial::NotAUser),
                        "passed on" => Ok(()),
                        "optional subscriber" | "subscriber" | "mercure" if permissions == Permissions::ALL => Ok(()),
                        "optional subscriber" | "subscriber" | "mercure" => Err(Denial::Forbidden("events:read")),
                        _ => Err(Denial::NotFound),
                    };
                    assert_eq!(authorise(&endpoint, permissions, is_user), expected, "{name}, {has}, {is_user}");
                }
            }
        }
    }

    #[test]
    fn either_right_to_hear_opens_streams() {
        for (_, endpoint) in endpoints::all().into_iter().filter(|(name, _)| name.ends_with("subscriber")) {
            for permission in [Permission::EventsRead, Permission::RecordsRead] {
                assert_eq!(authorise(&endpoint, Permissions::of(&[permission]), false), Ok(()), "{permission:?}");
            }
        }
    }

    #[test]
    fn an_operator_needs_the_permission_or_a_session_of_their_own() {
        let others = PlatformPermissions::of(&[PlatformPermission::TenantsWrite]);
        let asked = PlatformPermissions::of(&[ASKED_OF_OPERATORS]);
        for (name, endpoint) in endpoints::all() {
            for (permissions, has) in [(others, false), (asked, true), (PlatformPermissions::ALL, true)] {
                for is_person in [false, true] {
                    let expected = match name {
                        "operator" if has => Ok(()),
                        "operator" => Err(Denial::Forbidden("tenants:read")),
                        "signed-in operator" if is_person => Ok(()),
                        "signed-in operator" => Err(Denial::NotSignedIn),
                        _ => Err(Denial::NotFound),
                    };
                    let may = authorise_operator(&endpoint, permissions, is_person);
                    assert_eq!(may, expected, "{name}, {has}, {is_person}");
                }
            }
        }
    }

    #[test]
    fn addresses_are_checked_where_somebody_acts_or_signs_in() {
        for (name, endpoint) in endpoints::all() {
            let expected = match name {
                "member" | "reader" | "user" | "sign-in" | "table reader" => Err(Denial::AddressNotAllowed),
                "visitor" | "optional subscriber" | "subscriber" | "mercure" | "passed on" | "signer" => Ok(()),
                _ => Err(Denial::NotFound),
            };
            assert_eq!(check_address(&endpoint, false, false), expected, "{name}");
            let as_somebody = match name {
                "visitor" | "optional subscriber" | "subscriber" | "mercure" | "passed on" => {
                    Err(Denial::AddressNotAllowed)
                }
                _ => expected,
            };
            assert_eq!(check_address(&endpoint, true, false), as_somebody, "{name}");
            let let_in = if expected == Err(Denial::NotFound) { expected } else { Ok(()) };
            assert_eq!(check_address(&endpoint, true, true), let_in, "{name}");
        }
    }

    #[test]
    fn a_credential_is_verified_where_the_endpoint_depends_on_it() {
        for (name, endpoint) in endpoints::all() {
            let expected = match name {
                "member" | "reader" | "user" | "table reader" => Verifies::Principal,
                "optional subscriber" => Verifies::Subscriber(TokenRule::Optional),
                "subscriber" => Verifies::Subscriber(TokenRule::Required),
                "mercure" => Verifies::Subscriber(TokenRule::Mercure),
                "passed on" => Verifies::Subscriber(TokenRule::PassedOn),
                _ => Verifies::Nothing,
            };
            assert_eq!(verifies(Some(&endpoint)), expected, "{name}");
        }
        assert_eq!(verifies(None), Verifies::Nothing);
    }

    #[test]
    fn what_reads_and_does_nothing_is_judged_by_the_configuration_of_now() {
        let mut current = Vec::new();
        for route in routes::all().filter(|route| matches!(route.endpoint, Endpoint::Visitor(..) | Endpoint::SignIn(_)))
        {
            match (&route.endpoint, judged_by(Some(route), &route.method)) {
                (Endpoint::SignIn(_), judged) => assert_eq!(judged, JudgedBy::Current, "{}", route.name),
                (_, JudgedBy::Current) => current.push(route.name),
                (_, JudgedBy::Cached) => {
                    assert_eq!(judged_by(Some(route), &Method::Head), JudgedBy::Current, "{}", route.name);
                }
            }
        }
        current.sort_unstable();
        assert_eq!(
            current,
            [
                "auth.tenant_jwks",
                "docs.tenant_page",
                "events.diagnose",
                "graphql.page_script",
                "graphql.page_style",
                "mercure.metadata",
                "page.show",
            ]
        );
        assert_eq!(judged_by(None, &Method::Get), JudgedBy::Current);
    }

    #[test]
    fn who_is_proven_draws_from_the_tenants_requests_and_others_from_those_of_strangers() {
        for spends in [Spends::Strangers, Spends::Tenants, Spends::Nothing] {
            for admission in [Admission::Unmetered, Admission::Streams, Admission::Webhooks] {
                assert_eq!(request_class(Some(admission), spends), None);
            }
            for admission in [Some(Admission::Requests), None] {
                let expected = match spends {
                    Spends::Tenants => Some(RequestClass::Api),
                    Spends::Strangers => Some(RequestClass::Anonymous),
                    Spends::Nothing => None,
                };
                assert_eq!(request_class(admission, spends), expected);
            }
        }
    }

    #[test]
    fn what_fails_keeps_its_permit_spent_and_what_opens_something_gives_it_back() {
        use RequestResult::{Failed, NotProved, Succeeded};
        for result in [Succeeded, NotProved, Failed] {
            for is_proved in [false, true] {
                assert!(
                    keeps_permit(None, result, is_proved) && keeps_permit(Some(Admission::Requests), result, is_proved)
                );
                for admission in [Admission::Unmetered, Admission::Streams, Admission::Webhooks] {
                    let kept = keeps_permit(Some(admission), result, is_proved);
                    assert_eq!(kept, result != Succeeded && !is_proved, "{admission:?} {result:?} {is_proved}");
                }
            }
        }
    }

    #[test]
    fn all_that_names_a_tenant_must_name_this_one() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (named, in_token) in [(&[][..], None), (&["acme"], None), (&["acme", "acme"], Some("acme"))] {
            assert_eq!(agree(&names(named), in_token, "acme"), Ok(()));
        }
        for (named, in_token) in [
            (&["other"][..], None),
            (&["acme", "other"], None),
            (&["acme"], Some("other")),
            (&[""], None),
            (&["Acme"], None),
        ] {
            assert_eq!(agree(&names(named), in_token, "acme"), Err(Denial::CrossesTenants), "{named:?} {in_token:?}");
        }
    }
}
