//! Every operation that changes something, with the test that tries it on two isolates, or why it binds nobody; and every
//! field of what isolates remember of a tenant.
//!
//! An operation without a row fails, and so does a row whose test is gone: whoever adds a change says what it takes from
//! whom.

use std::collections::BTreeSet;
use std::path::Path;

use carillon::routes;

/// What an operation does to others.
enum Effect {
    /// It takes something away, narrows it, or gives a name to another thing: these tests show that every isolate knows.
    Binds(&'static [&'static str]),
    /// It takes nothing from anybody, for this reason.
    BindsNobody(&'static str),
}

use Effect::{Binds, BindsNobody};

const MAKES: &str = "it makes something that nobody remembers yet";
const PROVES: &str = "it proves somebody, and spends what was good once: a row that each request reads";
const RECORDS: &str =
    "records are read from the shard with each request; a cached list names the generation of its collection";

/// By the route's name.
const OPERATIONS: &[(&str, Effect)] = &[
    ("api_keys.create", BindsNobody(MAKES)),
    ("api_keys.patch", Binds(&["members::a_key_that_is_patched_narrower_is_so_in_every_isolate"])),
    ("api_keys.reroll", Binds(&["members::a_keys_earlier_text_and_a_revoked_key_are_worthless_in_every_isolate"])),
    ("api_keys.revoke", Binds(&["members::a_keys_earlier_text_and_a_revoked_key_are_worthless_in_every_isolate"])),
    ("auth.impersonate", BindsNobody(MAKES)),
    ("auth.login", BindsNobody(PROVES)),
    ("auth.logout", Binds(&["members::a_session_that_ends_ends_in_every_isolate"])),
    ("auth.password.change", Binds(&["members::another_password_ends_what_the_one_before_opened_in_every_isolate"])),
    ("auth.password.forgot", BindsNobody(MAKES)),
    ("auth.password.reset", Binds(&["members::another_password_ends_what_the_one_before_opened_in_every_isolate"])),
    ("auth.refresh", Binds(&["members::a_refresh_token_is_spent_in_every_isolate"])),
    ("auth.register", BindsNobody(MAKES)),
    ("auth.resend_verification", BindsNobody(MAKES)),
    ("auth.revoke_all", Binds(&["members::a_session_that_ends_ends_in_every_isolate"])),
    ("auth.sessions.end", Binds(&["members::a_session_that_ends_ends_in_every_isolate"])),
    ("auth.sessions.end_others", Binds(&["members::a_session_that_ends_ends_in_every_isolate"])),
    ("auth.switch", BindsNobody(MAKES)),
    ("auth.verify_email", BindsNobody(PROVES)),
    ("branding.patch", Binds(&["settings::another_branding_is_shown_by_every_isolate"])),
    ("cache.explain", BindsNobody("it says what would be done, and does nothing of it")),
    (
        "cache.purge",
        Binds(&[
            "answers::a_purge_ends_what_it_names_in_every_isolate",
            "collections::a_purge_ends_cached_lists_in_every_isolate",
        ]),
    ),
    ("collections.create", Binds(&["collections::a_collection_made_again_as_private_is_private_in_every_isolate"])),
    ("collections.delete", Binds(&["collections::a_collection_made_again_as_private_is_private_in_every_isolate"])),
    (
        "collections.patch",
        Binds(&["collections::a_collection_that_is_closed_or_loses_its_files_is_so_in_every_isolate"]),
    ),
    ("collections.reindex", BindsNobody("an index decides how fast a list is, not what is in it")),
    ("documents.delete", Binds(&["documents::a_document_that_left_the_registry_is_refused_in_every_isolate"])),
    ("documents.put", Binds(&["documents::an_alias_that_is_given_to_another_document_is_its_in_every_isolate"])),
    ("domains.attach", Binds(&["tenants::a_domain_that_moves_leads_to_its_new_tenant_alone_in_every_isolate"])),
    ("domains.detach", Binds(&["tenants::a_detached_domain_is_nobodys_in_every_isolate"])),
    ("domains.patch", BindsNobody("which domain is the primary one decides what links name, and not who is let in")),
    (
        "domains.verify",
        BindsNobody("a domain that is proven was nobody's before; a lost proof is cron's (tests/domain_proof.rs)"),
    ),
    ("domains.vouch", BindsNobody("a domain that is vouched for was nobody's before")),
    ("events.ticket", BindsNobody(MAKES)),
    ("files.announce", BindsNobody(MAKES)),
    ("files.delete", BindsNobody(RECORDS)),
    ("files.put", BindsNobody(RECORDS)),
    ("files.upload", BindsNobody(RECORDS)),
    ("graphql.ask", BindsNobody("what it changes is the site's")),
    ("graphql.ask_by_path", BindsNobody("what it changes is the site's")),
    ("invitations.accept", BindsNobody(PROVES)),
    ("invitations.create", BindsNobody(MAKES)),
    ("invitations.resend", Binds(&["members::an_invitation_that_was_sent_again_or_revoked_is_so_in_every_isolate"])),
    ("invitations.revoke", Binds(&["members::an_invitation_that_was_sent_again_or_revoked_is_so_in_every_isolate"])),
    ("keys.rewrap", BindsNobody("the same keys, sealed anew")),
    ("mercure.publish", BindsNobody(MAKES)),
    ("operators.create", BindsNobody(MAKES)),
    ("operators.delete", Binds(&["operators::an_operator_who_loses_rights_loses_them_in_every_isolate"])),
    ("operators.grant", Binds(&["operators::a_grant_that_is_narrowed_or_taken_is_so_in_every_isolate"])),
    ("operators.login", BindsNobody(PROVES)),
    ("operators.logout", Binds(&["operators::an_operators_session_ends_in_every_isolate"])),
    ("operators.patch", Binds(&["operators::an_operator_who_loses_rights_loses_them_in_every_isolate"])),
    ("operators.take_grant", Binds(&["operators::a_grant_that_is_narrowed_or_taken_is_so_in_every_isolate"])),
    ("platform_keys.create", BindsNobody(MAKES)),
    ("platform_keys.patch", Binds(&["operators::a_platform_key_is_narrowed_in_every_isolate"])),
    ("platform_keys.reroll", Binds(&["operators::a_platform_key_ends_in_every_isolate"])),
    ("platform_keys.revoke", Binds(&["operators::a_platform_key_ends_in_every_isolate"])),
    ("records.bulk", BindsNobody(RECORDS)),
    ("records.create", BindsNobody(RECORDS)),
    ("records.delete", BindsNobody(RECORDS)),
    ("records.patch", BindsNobody(RECORDS)),
    ("records.replace", BindsNobody(RECORDS)),
    ("records.restore", BindsNobody(RECORDS)),
    ("roles.create", Binds(&["members::a_role_made_again_under_a_name_is_another_role_in_every_isolate"])),
    ("roles.delete", Binds(&["members::a_role_made_again_under_a_name_is_another_role_in_every_isolate"])),
    ("roles.patch", Binds(&["members::a_role_that_loses_permissions_loses_them_in_every_isolate"])),
    (
        "secrets.rotate",
        Binds(&[
            "secrets::a_retired_webhook_secret_is_worthless_in_every_isolate",
            "secrets::a_retired_subscription_secret_is_worthless_in_every_isolate",
            "secrets::a_text_that_was_retired_and_is_in_force_again_is_good_in_every_isolate",
        ]),
    ),
    (
        "settings.patch",
        Binds(&[
            "settings::registration_is_closed_in_every_isolate",
            "settings::a_stricter_password_policy_holds_in_every_isolate",
            "settings::mercures_switches_hold_in_every_isolate",
            "settings::an_issuer_that_is_not_trusted_any_more_is_not_in_any_isolate",
            "settings::a_page_that_is_switched_off_is_not_shown_by_any_isolate",
            "documents::registered_documents_alone_are_asked_in_every_isolate_once_a_tenant_says_so",
        ]),
    ),
    ("signing_keys.rotate", BindsNobody("the key before it verifies on; what it signed ends by itself")),
    ("sso_clients.delete", BindsNobody("a list that is read with each request, and that nothing else rests on yet")),
    ("sso_clients.put", BindsNobody("a list that is read with each request, and that nothing else rests on yet")),
    ("sso_clients.rotate", BindsNobody("a secret that nothing here is opened with: each comparison reads its digest")),
    ("sso_clients.verify", BindsNobody("it compares with the row, and changes nothing")),
    (
        "sso_providers.create",
        Binds(&["providers::a_provider_made_again_under_an_id_is_another_provider_in_every_isolate"]),
    ),
    (
        "sso_providers.delete",
        Binds(&["providers::a_provider_made_again_under_an_id_is_another_provider_in_every_isolate"]),
    ),
    (
        "sso_providers.patch",
        Binds(&[
            "providers::a_sign_in_that_is_under_way_ends_with_its_provider_in_every_isolate",
            "providers::a_sign_in_that_is_under_way_does_not_end_at_another_issuer",
        ]),
    ),
    ("subscriber_tokens.mint", BindsNobody(MAKES)),
    ("templates.apply", BindsNobody("a collection that is there stays as it is")),
    (
        "tenant.configure",
        BindsNobody("it gives secrets to a site once; what it changes goes the way of `secrets.rotate`"),
    ),
    ("tenants.create", BindsNobody("the id and the slug of a purged tenant are retired")),
    ("tenants.delete", Binds(&["tenants::a_tenant_that_is_stopped_is_not_served_by_any_isolate"])),
    (
        "tenants.patch",
        Binds(&[
            "tenants::a_tenant_that_is_stopped_is_not_served_by_any_isolate",
            "tenants::a_lower_limit_holds_in_every_isolate",
            "tenants::a_smaller_plan_holds_in_every_isolate",
            "tenants::a_tenant_that_expires_is_not_served_by_any_isolate",
            "settings::the_address_list_holds_in_every_isolate",
            "settings::an_origin_that_is_taken_off_the_list_is_off_in_every_isolate",
            "secrets::the_plain_signature_form_is_switched_off_in_every_isolate",
        ]),
    ),
    ("tenants.recount", BindsNobody("what is stored is read with each write that it bounds")),
    ("tenants.replace", Binds(&["settings::the_address_list_holds_in_every_isolate"])),
    ("users.create", Binds(&["members::a_user_made_again_under_an_address_is_another_user_in_every_isolate"])),
    ("users.patch", Binds(&["members::a_user_who_is_demoted_or_disabled_is_so_in_every_isolate"])),
    ("users.remove", Binds(&["members::a_user_made_again_under_an_address_is_another_user_in_every_isolate"])),
    ("users.revoke_sessions", Binds(&["members::a_session_that_ends_ends_in_every_isolate"])),
    ("versions.restore", BindsNobody(RECORDS)),
    ("webhook.by_header", Binds(&["answers::a_webhook_ends_what_it_names_in_every_isolate"])),
    ("webhook.receive", Binds(&["answers::a_webhook_ends_what_it_names_in_every_isolate"])),
];

/// By the field of `TenantConfig`, which isolates and the hub remember: the tests that narrow it on one isolate and try it
/// on the other.
const CONFIGURATION: &[(&str, Effect)] = &[
    ("revision", BindsNobody("it is what the others are known by")),
    ("state", Binds(&["tenants::a_tenant_that_is_stopped_is_not_served_by_any_isolate"])),
    ("expires_at", Binds(&["tenants::a_tenant_that_expires_is_not_served_by_any_isolate"])),
    ("hosts", Binds(&["tenants::a_detached_domain_is_nobodys_in_every_isolate"])),
    (
        "limits",
        Binds(&["tenants::a_lower_limit_holds_in_every_isolate", "tenants::a_smaller_plan_holds_in_every_isolate"]),
    ),
    ("webhook_versions", Binds(&["secrets::a_retired_webhook_secret_is_worthless_in_every_isolate"])),
    ("subscription_versions", Binds(&["secrets::a_retired_subscription_secret_is_worthless_in_every_isolate"])),
    ("require_standard_webhooks", Binds(&["secrets::the_plain_signature_form_is_switched_off_in_every_isolate"])),
    ("cors_origins", Binds(&["settings::an_origin_that_is_taken_off_the_list_is_off_in_every_isolate"])),
    ("placement", BindsNobody("the fence of the shard refuses every write of another epoch")),
    ("ip_allowlist", Binds(&["settings::the_address_list_holds_in_every_isolate"])),
    ("registration", Binds(&["settings::registration_is_closed_in_every_isolate"])),
    ("passwords", Binds(&["settings::a_stricter_password_policy_holds_in_every_isolate"])),
    ("live", Binds(&["settings::how_streams_are_carried_holds_in_every_isolate"])),
    (
        "mercure",
        Binds(&[
            "settings::mercures_switches_hold_in_every_isolate",
            "settings::an_issuer_that_is_not_trusted_any_more_is_not_in_any_isolate",
        ]),
    ),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows that name no test, or one that is not there, or give no reason; and names that are there twice.
fn faults(rows: &[(&str, Effect)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (name, effect) in rows {
        if !names.insert(*name) {
            faults.push(format!("{name} has two rows"));
        }
        let tests = match effect {
            Binds(tests) => *tests,
            BindsNobody(reason) if reason.len() > 20 => continue,
            BindsNobody(_) => &[],
        };
        if tests.is_empty() {
            faults.push(format!("{name}: neither a test nor a reason"));
        }
        for test in tests {
            let (file, function) = test.split_once("::").unwrap();
            if !read(&format!("tests/isolates/{file}.rs")).contains(&format!("async fn {function}()")) {
                faults.push(format!("{name}: there is no test {test}"));
            }
        }
    }
    faults
}

/// What has no row, and rows of what is not there.
fn differences<'a>(there: BTreeSet<&'a str>, rows: &'a [(&'a str, Effect)]) -> Vec<String> {
    let known: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    let missing = there.difference(&known).map(|name| format!("{name} has no row in tests/isolates/matrix.rs"));
    let gone = known.difference(&there).map(|name| format!("{name} has a row and is not there"));
    missing.chain(gone).collect()
}

#[test]
fn every_operation_that_changes_something_says_whom_it_binds() {
    let changes = routes::all().filter(|route| route.method.to_string() != "GET").map(|route| route.name).collect();
    let found = [faults(OPERATIONS), differences(changes, OPERATIONS)].concat();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_field_of_a_tenants_configuration_is_narrowed_on_two_isolates() {
    let source = read("src/hub/protocol/tenant_config.rs");
    let body = source.split("pub struct TenantConfig {").nth(1).unwrap().split("\n}").next().unwrap();
    let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let found = [faults(CONFIGURATION), differences(fields.collect(), CONFIGURATION)].concat();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_missing_row_and_a_missing_test_are_found() {
    let rows = [("a", Binds(&["members::no_such_test"])), ("b", BindsNobody("")), ("b", BindsNobody(MAKES))];
    assert_eq!(faults(&rows).len(), 3);
    assert_eq!(differences(BTreeSet::from(["a", "c"]), &rows).len(), 2);
}
