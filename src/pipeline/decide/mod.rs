//! The pipeline's decisions, over plain values: no request, no binding, no clock.
//!
//! A request to a tenant is judged in this order: [`agree`] on the tenant, [`check_address`], [`admit`], [`authorise`].
//! Each names every endpoint, so a new kind of endpoint does not compile until somebody says who may call it.

mod denial;
#[cfg(test)]
mod endpoints;
mod facts;
mod rights;
mod selection;

pub(super) use crate::pipeline::decide::facts::{Presents, RequestFacts, SendingPage, TokenState, admit};
pub(super) use crate::pipeline::decide::rights::{
    RequestResult, Spends, Verifies, agree, authorise, authorise_operator, check_address, judged_by, keeps_permit,
    may_be_outdated, request_class, verifies,
};
pub(super) use crate::pipeline::decide::selection::{
    CredentialNames, credential_names, may_select, named_by_all, selected,
};
