use super::token_reader::{in_variable_order, significant_tokens};
use super::{DocumentError, DocumentLimits, GraphqlDocument};

mod generated;
mod hostile;
mod properties;

fn parse(text: &str) -> Result<GraphqlDocument<'_>, DocumentError> {
    GraphqlDocument::parse(text, &DocumentLimits::default())
}

fn normal_form(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{text:?}: {error} {:?}", error.locations)).normal_form()
}

fn tokens_of(text: &str) -> Vec<&str> {
    in_variable_order(&significant_tokens(text).unwrap())
}
