//! What a visitor's stream rests on, as the hub keeps and judges it.

use crate::auth::principal::{Member, Visitor};
use crate::hub::protocol::{Basis, Grantor};
use domain::clock::Timestamp;

/// How long a stream lives if what it rests on has no end, in milliseconds; its client then reconnects and is judged again.
pub const LIFE_MILLIS: i64 = 24 * 3_600_000;

/// What a visitor's stream on `/events` rests on: their token, themselves, or nothing.
pub fn of_visitor(visitor: &Visitor) -> Basis {
    if let Some(member) = &visitor.member {
        return of_member(member);
    }
    let Some(token) = &visitor.token else { return Basis::default() };
    let by_site = token.secret_version.map(Grantor::SubscriptionSecret);
    let grantor = token.minted.clone().map(Grantor::Minted).or(by_site).unwrap_or_default();
    Basis { grantor, expires_at: Some(token.expires_at), is_older: false }
}

/// What a stream of somebody who acts in the tenant rests on. It ends with their credential.
pub fn of_member(member: &Member) -> Basis {
    let terms = member.terms();
    let longest = terms.proven_at.plus_millis(LIFE_MILLIS);
    let expires_at = Some(terms.expires_at.map_or(longest, |at: Timestamp| at.min(longest)));
    Basis { grantor: member.as_grantor(), expires_at, is_older: false }
}
