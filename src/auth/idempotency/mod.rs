//! `Idempotency-Key`: the first answer to a creation, given again for 24 hours. Stored sealed, in the transaction of
//! the creation itself: of what a tenant's members create in its shard, of what operators create in CONTROL.

pub mod platform;
pub mod tenant;
