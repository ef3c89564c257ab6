//! Fields of which no two records of a collection have the same values together.
//!
//! It is so of collections that a template made: a plugin keeps one value under each key. A collection says so in
//! `unique_together`, and nobody changes it.
//!
//! Invariants
//! - The rule is judged in the batch that writes, after its writes: of two requests at once one fails.
//! - A record whose values were there twice before the rule was stays until it is written.

use crate::storage::sql::statements;

statements! { TenantSql;
    /// None of the records of the JSON ?3, as they are now, has the value of the field ?4 together with that of the field ?5
    /// that another record has.
    NOT_TOGETHER = "INSERT OR REPLACE INTO write_rules (tenant_id, is_unique_together) VALUES (?1, NOT EXISTS (SELECT 1 FROM json_each(?3) j CROSS JOIN records r CROSS JOIN record_index i CROSS JOIN records o WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = j.value AND r.deleted_at IS NULL AND i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ?4 AND unlikely(i.value = json_extract(r.data, '$.' || ?4)) AND i.record_id <> r.id AND o.tenant_id = ?1 AND o.collection = ?2 AND o.id = i.record_id AND o.deleted_at IS NULL AND json_extract(o.data, '$.' || ?5) = json_extract(r.data, '$.' || ?5)))";
    /// Of the values in the JSON ?3, `[id, value of ?4, value of ?5]` each, the indices of those that other records have.
    HELD_TOGETHER = "SELECT j.key AS place FROM json_each(?3) j CROSS JOIN record_index i CROSS JOIN records o WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = ?4 AND unlikely(i.value = json_extract(j.value, '$[1]')) AND i.record_id <> json_extract(j.value, '$[0]') AND o.tenant_id = ?1 AND o.collection = ?2 AND o.id = i.record_id AND o.deleted_at IS NULL AND json_extract(o.data, '$.' || ?5) = json_extract(j.value, '$[2]')";
}

/// Two fields that are unique together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniquePair {
    /// The indexed one, by which others are found.
    pub indexed: &'static str,
    /// The other one.
    pub beside: &'static str,
}

/// Collections by the template that made them, with their pair.
const PAIRS: [(&str, &str, UniquePair); 1] =
    [("plugins", "plugin_data", UniquePair { indexed: "key", beside: "plugin_id" })];

impl UniquePair {
    /// The pair of the collection of a slug that a template made, if it has one.
    pub fn of(template: Option<&str>, slug: &str) -> Option<Self> {
        let is_meant = |(made_by, made, _): &&(&str, &str, Self)| template == Some(*made_by) && *made == slug;
        PAIRS.iter().find(is_meant).map(|(.., pair)| *pair)
    }

    /// Its fields, as they are shown.
    pub fn fields(self) -> [&'static str; 2] {
        [self.beside, self.indexed]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::schema::Schema;
    use crate::records::template::Template;

    #[test]
    fn a_pair_is_of_fields_that_its_template_declares_and_one_of_them_is_indexed() {
        for (template, slug, pair) in PAIRS {
            let collections = Template::find(template).unwrap().collections;
            let made = collections.iter().find(|made| made["slug"] == slug).unwrap();
            let schema = Schema::parse(&made["schema"]).unwrap();
            assert!(schema.field(pair.indexed).is_some_and(|field| field.is_indexed), "{slug}");
            assert!(schema.field(pair.beside).is_some(), "{slug}");
            let required = made["schema"]["required"].as_array().unwrap();
            assert!(pair.fields().iter().all(|field| required.iter().any(|name| name == field)), "{slug}");
        }
    }
}
