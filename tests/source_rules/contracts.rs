use std::collections::BTreeSet;

use carillon::records::collection::Collection;
use carillon::records::definition::Definition;
use carillon::routes::contract::{RequestBody, ResponseSpec};
use carillon::routes::openapi::collections::Described;
use carillon::routes::openapi::document::document;
use carillon::routes::openapi::notation;
use carillon::routes::openapi::schemas::{self, FIND};
use carillon::routes::{self, Surface};
use carillon::tenant::settings::{STORED, TenantSettings};
use serde_json::{Value, json};

use crate::api_reference::problems_of_this_project;

fn of(surface: Surface) -> Value {
    let text = document(routes::SECTIONS, surface, &[]).expect("every contract can be read");
    serde_json::from_str(&text).expect("the document is JSON")
}

/// Every value of a document, with the names that lead to it.
fn descend<'v>(value: &'v Value, path: &str, visit: &mut dyn FnMut(&str, &'v Value)) {
    visit(path, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| descend(value, &format!("{path}/{name}"), visit))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| descend(value, &format!("{path}/{i}"), visit))
        }
        _ => {}
    }
}

#[test]
fn every_contract_can_be_read() {
    let mut faults = Vec::new();
    for route in routes::all() {
        let body = match route.contract.body {
            RequestBody::None | RequestBody::Bytes(_) => None,
            RequestBody::Optional(schema) | RequestBody::Required(schema) | RequestBody::Form(schema) => Some(schema),
        };
        if body.is_some_and(|schema| notation::schema(schema, FIND).is_none()) {
            faults.push(format!("{}: its body", route.name));
        }
        let params = notation::members(route.contract.params, FIND);
        if params.is_none_or(|all| all.iter().any(|m| m.schema.is_none() && schemas::parameter(m.name).is_none())) {
            faults.push(format!("{}: its parameters", route.name));
        }
        for surface in [Surface::Platform, Surface::Tenant] {
            if document(&[std::slice::from_ref(route)], surface, &[]).is_none() {
                faults.push(format!("{}: its answers", route.name));
            }
        }
    }
    assert!(faults.is_empty(), "contracts that cannot be read: {faults:#?}");
    assert!(schemas::named().is_some());
}

fn status(response: &ResponseSpec) -> u16 {
    match response {
        ResponseSpec::Success { status, .. }
        | ResponseSpec::Graphql { status, .. }
        | ResponseSpec::Problem { status, .. } => *status,
    }
}

#[test]
fn every_operation_lists_a_success_and_known_problems() {
    let problems = problems_of_this_project();
    let mut faults = Vec::new();
    for route in routes::all() {
        let responses = route.contract.responses().expect("every contract can be read");
        if !responses.iter().map(status).is_sorted() {
            faults.push(format!("{} lists its statuses in another order than theirs", route.name));
        }
        if !responses.iter().any(|response| matches!(response, ResponseSpec::Success { status: 200..400, .. })) {
            faults.push(format!("{} lists no success", route.name));
        }
        for response in &responses {
            let ResponseSpec::Problem { status, codes } = response else { continue };
            if codes.is_empty() {
                faults.push(format!("{} lists {status} without saying which", route.name));
            }
            for (code, _) in codes {
                if !problems.iter().any(|(known, name)| *known == status.to_string() && name == code) {
                    faults.push(format!("{} lists {status} {code}, which is no problem of ours", route.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Members of a value that its schema does not know, or misses.
fn unlike(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let (Some(properties), Value::Object(members)) = (schema["properties"].as_object(), value) else {
        return Vec::new();
    };
    let unknown =
        members.keys().filter(|name| !properties.contains_key(*name)).map(|name| format!("{at}/{name} is unknown"));
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required.filter(|name| !members.contains_key(*name)).map(|name| format!("{at}/{name} is missing"));
    let inside = members.iter().filter_map(|(name, value)| Some((name, properties.get(name)?, value)));
    let inside = inside.flat_map(|(name, schema, value)| unlike(schema, value, &format!("{at}/{name}")));
    unknown.chain(missing).chain(inside).collect()
}

#[test]
fn settings_are_shown_as_the_document_says() {
    let document = of(Surface::Tenant);
    let schema = &document["components"]["schemas"]["SettingsShown"];
    let shown = TenantSettings::read(&serde_json::Map::new(), STORED).0.to_view();
    assert_eq!(unlike(schema, &shown, ""), [""; 0]);
    let other = json!({"graphql": {"x": 1}});
    assert!(unlike(schema, &other, "").iter().any(|fault| fault == "/graphql/x is unknown"));
}

#[test]
fn every_status_of_the_documents_is_a_problem_of_ours() {
    let known: BTreeSet<String> = problems_of_this_project().into_iter().map(|(status, _)| status).collect();
    let document = of(Surface::Tenant);
    let shared = document["components"]["responses"].as_object().unwrap();
    let unknown: Vec<_> = shared.keys().filter(|status| !known.contains(*status)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_a_document_refers_to_is_in_it() {
    for surface in [Surface::Platform, Surface::Tenant] {
        let document = of(surface);
        let mut dangling = Vec::new();
        let mut seen = 0;
        descend(&document, "", &mut |path, value| {
            if let Some(target) = value.get("$ref").and_then(Value::as_str) {
                seen += 1;
                if target.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none() {
                    dangling.push(format!("{path} → {target}"));
                }
            }
        });
        assert!(dangling.is_empty() && seen > 500, "{surface:?}: {dangling:#?} of {seen}");
    }
}

#[test]
fn every_shared_schema_is_used() {
    let text = format!("{}{}", of(Surface::Platform), of(Surface::Tenant));
    let used = |kind: &str, name: &str| text.contains(&format!("\"#/components/{kind}/{name}\""));
    let taken_over = |name: &str| {
        let texts = routes::all().map(|route| format!("{:?} {}", route.contract.body, route.contract.answers));
        let named = schemas::named().unwrap();
        let texts = texts.chain(named.iter().filter_map(|(name, _)| FIND(name)).map(str::to_owned));
        texts.into_iter().any(|text| text.contains(&format!("...{name},")))
    };
    let known: Vec<&str> = schemas::named().unwrap().into_iter().map(|(name, _)| name).collect();
    let idle: Vec<_> = known.iter().filter(|name| !used("schemas", name) && !taken_over(name)).collect();
    assert!(idle.is_empty(), "schemas that nothing uses: {idle:?}");
    let idle: Vec<_> = schemas::parameters().filter(|name| !used("parameters", name)).collect();
    assert!(idle.is_empty(), "parameters that nothing uses: {idle:?}");
}

#[test]
fn operations_are_named_once_and_declare_their_paths() {
    for surface in [Surface::Platform, Surface::Tenant] {
        let document = of(surface);
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} twice");
                assert!(
                    operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
                    "{name} says what it does"
                );
                let resolved = |parameter: &Value| match parameter["$ref"].as_str() {
                    Some(target) => document.pointer(&target[1..]).unwrap().clone(),
                    None => parameter.clone(),
                };
                let parameters: Vec<Value> = operation["parameters"].as_array().unwrap().iter().map(resolved).collect();
                let declared: BTreeSet<&str> =
                    parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
                let wanted: BTreeSet<&str> =
                    path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')).collect();
                assert_eq!(declared, wanted, "{method} {path}");
                let places: BTreeSet<_> =
                    parameters.iter().map(|p| (p["in"].to_string(), p["name"].to_string())).collect();
                assert_eq!(places.len(), parameters.len(), "{method} {path} declares a parameter twice");
                assert!(parameters.iter().all(|p| p["in"] != "path" || p["required"] == true), "{method} {path}");
            }
        }
        let listed: BTreeSet<String> =
            routes::all().filter(|route| route.surface.includes(surface)).map(|route| route.name.to_owned()).collect();
        assert_eq!(names, listed, "{surface:?}");
    }
}

fn contacts(versioned: bool) -> Collection {
    let written = json!({
        "slug": "contacts", "versioned": versioned, "soft_delete": false, "files": false,
        "schema": {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}},
    });
    let definition = Definition::read(written.as_object().unwrap().clone()).unwrap();
    Collection::fresh(definition, None, 0).unwrap()
}

#[test]
fn a_tenants_collections_have_their_own_paths_and_types() {
    let described = Described::of(&contacts(true), true);
    let text = document(routes::SECTIONS, Surface::Tenant, &[described]).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let (list, one) = (&document["paths"]["/api/v1/contacts"], &document["paths"]["/api/v1/contacts/{record_id}"]);
    assert_eq!(list["get"]["operationId"], "contacts.records.list");
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/contacts.{name}")});
    let body = |operation: &Value| operation["requestBody"]["content"]["application/json"]["schema"].clone();
    assert_eq!(body(&list["post"]), reference("Fields"));
    assert_eq!((body(&one["put"]), body(&one["patch"])), (reference("Fields"), reference("Patch")));
    let shown = &list["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"];
    assert_eq!(shown["items"], reference("Record"));
    assert_eq!(document["components"]["schemas"]["contacts.Fields"]["required"], json!(["email"]));
    assert!(document["paths"]["/api/v1/contacts/{record_id}/versions"].is_object());
    assert!(document["paths"]["/api/v1/contacts/{record_id}/restore"].is_null(), "what is deleted is not kept");
    assert!(document["paths"]["/api/v1/contacts/{record_id}/file"].is_null(), "there are no files");
    let mut names = BTreeSet::new();
    descend(&document, "", &mut |path, value| {
        if path.ends_with("/operationId") {
            assert!(names.insert(value.as_str().unwrap().to_owned()), "{value} twice");
        }
        if let Some(name) = value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/")) {
            assert!(document["components"]["schemas"][name].is_object(), "{path} leads nowhere");
        }
    });
}

#[test]
fn strangers_read_of_what_they_may_do() {
    let text = document(routes::SECTIONS, Surface::Tenant, &[Described::of(&contacts(true), false)]).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let items = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/v1/contacts"));
    let operations: Vec<_> = items
        .flat_map(|(_, item)| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["contacts.records.list", "contacts.records.get"]);
    assert!(document["components"]["schemas"]["contacts.Fields"].is_null());
}
