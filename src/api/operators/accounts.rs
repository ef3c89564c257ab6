//! `/api/v1/operators`: the platform's people.
//!
//! An admin may do everything; support enters the tenants it was granted. The last admin may be removed:
//! the deployment's first key is always there to make another.
//!
//! Nobody makes or changes an operator with permissions that they do not have. An operator who is disabled, removed or
//! gets a new password is signed out everywhere in the same batch, and what they opened in tenants ends.

use super::rules::{self, operator_as_seen};
use super::{ControlStatement, audit, check_own, ending_everywhere, subject};
use crate::auth::authenticate_operator::platform_permissions_of;
use crate::auth::idempotency::CreateOrReplay;
use crate::auth::idempotency::platform::{PlatformCreate, PlatformResource};
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::Operator;
use crate::credentials::key::fresh_id;
use crate::http::fields::Fields;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::letters::{lower_case, normalize};
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::storage::row::CountRow;
use crate::storage::row::row_types;
use crate::storage::sql::StorageError;
use crate::storage::sql::{args, statements};
use domain::email::parse_email;
use domain::error::Invalid;
use domain::json;
use domain::password::Password;
use domain::sign_in::PasswordPolicy;

statements! { ControlSql;
    /// Operators, newest first.
    SHOWN = "SELECT o.id, o.created_at, json_object('id', o.id, 'email', o.email, 'name', o.name, 'role', o.role, 'status', o.status, 'created_at', o.created_at, 'updated_at', o.updated_at, 'last_login_at', o.last_login_at, 'grant_count', (SELECT count(*) FROM operator_grants g WHERE g.operator_id = o.id)) AS view FROM operators o WHERE (o.created_at, o.id) < (?1, ?2) ORDER BY o.created_at DESC, o.id DESC LIMIT ?3";
    /// One operator, with their grants.
    FIND = "SELECT o.id, o.created_at, json_object('id', o.id, 'email', o.email, 'name', o.name, 'role', o.role, 'status', o.status, 'created_at', o.created_at, 'updated_at', o.updated_at, 'last_login_at', o.last_login_at, 'grant_count', (SELECT count(*) FROM operator_grants g WHERE g.operator_id = o.id), 'grants', json((SELECT json_group_array(json_object('tenant_id', g.tenant_id, 'role', g.role)) FROM operator_grants g WHERE g.operator_id = o.id))) AS view FROM operators o WHERE o.id = ?1";
    /// An operator's role.
    ROLE = "SELECT role FROM operators WHERE id = ?1";
    /// How many there are.
    COUNT = "SELECT count(*) AS total FROM operators";
    /// A new operator.
    INSERT = "INSERT INTO operators (id, email, name, password_hash, role, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    /// Changes what is not NULL.
    UPDATE = "UPDATE operators SET email = COALESCE(?2, email), name = COALESCE(?3, name), password_hash = COALESCE(?4, password_hash), role = COALESCE(?5, role), status = COALESCE(?6, status), updated_at = ?7 WHERE id = ?1";
    /// Signs an operator out everywhere.
    END_SESSIONS = "DELETE FROM operator_sessions WHERE operator_id = ?1";
    /// Deletes an operator's grants.
    END_GRANTS = "DELETE FROM operator_grants WHERE operator_id = ?1";
    /// Deletes an operator.
    DELETE = "DELETE FROM operators WHERE id = ?1";
}

const COLLECTION: &str = "/api/v1/operators";
/// Most operators.
const MAX_OPERATORS: i64 = 500;

row_types! {
    struct OperatorRoleRow {
        role: String,
    }
}

/// What a body sets of an operator.
struct OperatorDraft {
    email: Option<String>,
    name: Option<String>,
    password: Option<Password>,
    role: Option<String>,
    status: Option<String>,
}

impl OperatorDraft {
    fn read(fields: &mut Fields) -> Self {
        Self {
            email: fields.parsed("email", |text| parse_email(text).map(|email| lower_case(&email))),
            name: fields.text("name", 100),
            password: fields.parsed("password", parse_password),
            role: fields.parsed("role", |text| one_of(text, &["admin", "support"], "must be admin or support")),
            status: fields.parsed("status", |text| one_of(text, &["active", "disabled"], "must be active or disabled")),
        }
    }

    /// The password's hash, if it sets one.
    async fn hash(&self, request: &Request<Operator>) -> Result<Option<String>, Problem> {
        let Some(password) = &self.password else { return Ok(None) };
        PasswordHashing::in_turn(request).await?.hash(password).map(Some)
    }
}

/// A password that an operator may have.
fn parse_password(text: &str) -> Result<Password, Invalid> {
    let policy = PasswordPolicy { min_length: 12, ..PasswordPolicy::default() };
    let password = Password::parse(text, &normalize)?;
    policy.check(&password, "").map(|()| password)
}

fn one_of(text: &str, known: &[&str], message: &'static str) -> Result<String, Invalid> {
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(Invalid::new("unknown_value", message)) }
}

/// `POST /api/v1/operators`
pub async fn create(mut request: Request<Operator>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let db = ControlDb::open(&request.bindings, "make an operator")?;
    let create = match PlatformCreate::begin(&request, &db, "operators.create", COLLECTION, &body).await? {
        CreateOrReplay::New(create) => create,
        CreateOrReplay::Done(response) => return Ok(response),
    };
    let mut fields = Fields::new(body);
    for name in ["email", "name", "password", "role"] {
        fields.require(name);
    }
    let draft = OperatorDraft::read(&mut fields);
    if draft.status.as_deref() == Some("disabled") {
        fields.wrong::<()>("status", Invalid::new("unknown_value", "must be active for a new operator"));
    }
    let all = draft.email.zip(draft.name).zip(draft.password).zip(draft.role);
    let (((email, name), password), role) = fields.finish_with(all)?;
    let hash = PasswordHashing::in_turn(&request).await?.hash(&password)?;
    check_own(&request, "/role", platform_permissions_of(role == "admin"))?;
    if db.row::<CountRow>(&COUNT, Vec::new()).await?.is_some_and(|row| row.total >= MAX_OPERATORS) {
        return Err(problem::too_many("operators", MAX_OPERATORS));
    }
    let id = fresh_id("opr").map_err(problem::internal)?;
    let now = request.now();
    let (id, role) = (id.as_str(), role.as_str());
    let insert = args![id, email.as_str(), name.as_str(), hash, role, now.millis()];
    let batch = vec![(INSERT, insert), audit(&request, "operator.create", json!({ "subject": id, "role": role }))];
    let data = json!({
        "id": id,
        "email": email,
        "name": name,
        "role": role,
        "status": "active",
        "created_at": now,
        "updated_at": now,
        "last_login_at": null,
        "grant_count": 0,
        "grants": [],
    });
    create.commit(batch, PlatformResource { data, etag: String::new() }, email_taken).await
}

/// `GET /api/v1/operators`
pub async fn list(request: Request<Operator>) -> Result<Response, Problem> {
    let params = ListParams::read(&request, "operators.list", "")?;
    let db = ControlDb::open(&request.bindings, "list operators")?;
    let rows = db.rows::<ViewRow>(&SHOWN, params.args()).await?;
    params.answer(&request, rows, None)
}

/// `GET /api/v1/operators/{operator_id}`
pub async fn get(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "show an operator")?;
    shown(&db, request.params.get("operator_id")).await
}

/// What is shown of an operator and set by nobody.
const READ_ONLY: [&str; 6] = ["id", "created_at", "updated_at", "last_login_at", "grant_count", "grants"];

/// `PATCH /api/v1/operators/{operator_id}`
pub async fn patch(mut request: Request<Operator>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(MERGE_PATCH).await?);
    let id = request.params.get("operator_id");
    let db = ControlDb::open(&request.bindings, "change an operator")?;
    let row = db.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?;
    fields.read_only(&row.shown()?, &READ_ONLY);
    let draft = OperatorDraft::read(&mut fields);
    fields.finish()?;
    let as_seen = check_may_change(&request, &db, id).await?;
    if let Some(role) = &draft.role {
        check_own(&request, "/role", platform_permissions_of(role == "admin"))?;
    }
    let hash = draft.hash(&request).await?;
    let signs_out = hash.is_some() || draft.status.as_deref() == Some("disabled");
    let takes_rights = signs_out || draft.role.is_some();
    let changed = json!({
        "subject": id, "email": draft.email.is_some(), "password": hash.is_some(),
        "role": draft.role, "status": draft.status,
    });
    let now = request.now().millis();
    let update = args![id, draft.email, draft.name, hash, draft.role, draft.status, now];
    let mut batch = vec![as_seen, (UPDATE, update), audit(&request, "operator.update", changed)];
    if signs_out {
        batch.push((END_SESSIONS, args![id]));
    }
    let commit = async {
        db.batch(batch).await.map(drop).map_err(|error| match error {
            StorageError::Constraint(words) if words.contains("operators.email") => email_taken(),
            error => rules::meaning(error),
        })
    };
    if takes_rights {
        let operator = format!("operator:{id}");
        ending_everywhere(&request, &db, (&operator, &operator), commit).await?;
    } else {
        commit.await?;
    }
    shown(&db, id).await
}

/// `DELETE /api/v1/operators/{operator_id}`
pub async fn delete(request: Request<Operator>) -> Result<Response, Problem> {
    let id = request.params.get("operator_id");
    let db = ControlDb::open(&request.bindings, "remove an operator")?;
    let batch = vec![
        check_may_change(&request, &db, id).await?,
        (END_SESSIONS, args![id]),
        (END_GRANTS, args![id]),
        (DELETE, args![id]),
        audit(&request, "operator.delete", subject(id)),
    ];
    let (operator, commit) = (format!("operator:{id}"), rules::commit(&db, batch));
    ending_everywhere(&request, &db, (&operator, &operator), commit).await?;
    Response::json(200, &json!({ "id": id }), None)
}

/// Refuses to change an operator who does not exist, or has permissions that the caller does not have. Gives the rule that
/// the operator's role is still the one that was read, for the batch of the change.
pub(super) async fn check_may_change(
    request: &Request<Operator>,
    db: &ControlDb,
    id: &str,
) -> Result<ControlStatement, Problem> {
    let row = db.row::<OperatorRoleRow>(&ROLE, args![id]).await?.ok_or_else(problem::not_found)?;
    check_own(request, "", platform_permissions_of(row.role == "admin"))?;
    Ok(operator_as_seen(id, &row.role))
}

/// Responds with an operator; 404 if there is none.
pub(super) async fn shown(db: &ControlDb, id: &str) -> Result<Response, Problem> {
    let row = db.row::<ViewRow>(&FIND, args![id]).await?.ok_or_else(problem::not_found)?;
    Response::json(200, &row.shown()?, None)
}

fn email_taken() -> Problem {
    problem::conflict("/email", Invalid::new("taken", "is already used by another operator"))
}
