//! `/api/v1/operators/login`, and what signed-in operators see of themselves.
//!
//! Invariants
//! - An unknown address, a wrong password and a disabled operator get the same response after the same work.
//! - Attempts are counted before a password is hashed ([`FailedLogin`]).
//! - A session ends after 12 hours, used or not; only the digest of its text is stored.

use serde_json::{Map, Value};

use super::login_failures::{self, FailedLogin};
use super::{PlatformAuditEntry, audit, ending_everywhere, subject};
use crate::auth::authenticate_member::own_role;
use crate::auth::failed_logins;
use crate::auth::password_hashing::PasswordHashing;
use crate::auth::principal::{Anyone, Operator, OperatorKind};
use crate::auth::revocation;
use crate::auth::role::is_built_in;
use crate::credentials::key::{FreshKey, KeyKind};
use crate::credentials::password::PasswordCheck;
use crate::credentials::signature::digest;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::letters::{lower_case, normalize};
use crate::http::listing::{ListParams, ViewRow};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, ControlSql, args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant::registry::Tenant;
use domain::clock::Clock;
use domain::error::Invalid;
use domain::json;
use domain::password::Password;

statements! { ControlSql;
    /// Who signs in.
    BY_EMAIL = "SELECT id, email, name, role, status, password_hash FROM operators WHERE email = ?1";
    /// A new session.
    INSERT = "INSERT INTO operator_sessions (id, operator_id, digest, address, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// Makes room: only an operator's newest sessions stay.
    KEEP_NEWEST = "DELETE FROM operator_sessions WHERE operator_id = ?1 AND id NOT IN (SELECT n.id FROM operator_sessions n WHERE n.operator_id = ?1 ORDER BY n.created_at DESC LIMIT 19)";
    /// Notes when an operator last signed in.
    NOTE_LOGIN = "UPDATE operators SET last_login_at = ?2 WHERE id = ?1";
    /// The same password, hashed anew, unless another one was set meanwhile.
    REHASH = "UPDATE operators SET password_hash = ?2 WHERE id = ?1 AND password_hash = ?3";
    /// The end of a session.
    END = "DELETE FROM operator_sessions WHERE id = ?1";
    /// Deletes expired sessions.
    FORGET_OVER = "DELETE FROM operator_sessions WHERE expires_at <= ?1";
    /// Who is signed in, and until when.
    ME = "SELECT o.id, o.created_at, json_object('id', o.id, 'email', o.email, 'name', o.name, 'role', o.role, 'created_at', o.created_at, 'last_login_at', o.last_login_at, 'session_id', s.id, 'session_expires_at', s.expires_at) AS view FROM operator_sessions s JOIN operators o ON o.id = s.operator_id WHERE s.id = ?1";
    /// Tenants that an admin may enter: all that are served.
    EVERY_TENANT = "SELECT t.id, t.created_at, json_object('tenant_id', t.id, 'slug', t.slug, 'display_name', t.display_name, 'hosts', (SELECT json_group_array(d.domain) FROM (SELECT domain FROM tenant_domains WHERE tenant_id = t.id ORDER BY is_primary DESC, created_at, domain) d), 'role', 'owner') AS view FROM tenants t WHERE t.status = 'active' AND (t.expires_at IS NULL OR t.expires_at > ?5) AND (?4 IS NULL OR instr(lower(t.id || ' ' || t.slug || ' ' || t.display_name), ?4) > 0) AND (t.created_at, t.id) < (?1, ?2) ORDER BY t.created_at DESC, t.id DESC LIMIT ?3";
    /// Tenants that support may enter: those it was granted, with the creation id of the role.
    GRANTED_TENANTS = "SELECT t.id, t.created_at, json_object('tenant_id', t.id, 'slug', t.slug, 'display_name', t.display_name, 'hosts', (SELECT json_group_array(d.domain) FROM (SELECT domain FROM tenant_domains WHERE tenant_id = t.id ORDER BY is_primary DESC, created_at, domain) d), 'role', g.role, 'role_id', g.role_id) AS view FROM operator_grants g JOIN tenants t ON t.id = g.tenant_id WHERE g.operator_id = ?6 AND t.status = 'active' AND (t.expires_at IS NULL OR t.expires_at > ?5) AND (?4 IS NULL OR instr(lower(t.id || ' ' || t.slug || ' ' || t.display_name), ?4) > 0) AND (t.created_at, t.id) < (?1, ?2) ORDER BY t.created_at DESC, t.id DESC LIMIT ?3";
}

/// How long a session lasts, in seconds.
const SESSION_SECONDS: i64 = 12 * 3600;
row_types! {
    struct OperatorLoginRow {
        id: String,
        email: String,
        name: String,
        role: String,
        status: String,
        password_hash: String,
    }
}

/// `POST /api/v1/operators/login`
pub async fn login(mut request: Request<Anyone>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    for name in ["email", "password"] {
        fields.require(name);
    }
    let email = lower_case(&fields.text("email", 254).unwrap_or_default());
    let password = fields.parsed("password", |text| Password::parse(text, &normalize));
    let password = fields.finish_with(password)?;
    let db = ControlDb::open(&request.bindings, "sign an operator in")?;
    failed_logins::check(&request)?;
    let hashing = PasswordHashing::in_turn(&request).await?;
    let in_all_tenants = failed_logins::begin(&request)?;
    let attempt = FailedLogin::count(&db, request.incoming.network(), &email, request.now()).await?;
    let outcome = sign_in(&request, &db, &hashing, (&email, &password), &attempt).await;
    in_all_tenants.end(&outcome);
    outcome
}

/// A session for an operator who knows the password.
async fn sign_in(
    request: &Request<Anyone>,
    db: &ControlDb,
    hashing: &PasswordHashing,
    (email, password): (&str, &Password),
    attempt: &FailedLogin,
) -> Result<Response, Problem> {
    let found = db.row::<OperatorLoginRow>(&BY_EMAIL, args![email]).await?;
    let stored = found.as_ref().map(|row| row.password_hash.as_str());
    let check = hashing.verify(password, stored);
    let is_in = |row: &OperatorLoginRow| check != PasswordCheck::Wrong && row.status == "active";
    let operator = found.filter(is_in).ok_or_else(problem::invalid_credentials)?;
    let rehash = match check {
        PasswordCheck::RightButStale => {
            Some((REHASH, args![operator.id.as_str(), hashing.hash(password)?, operator.password_hash.as_str()]))
        }
        PasswordCheck::Right | PasswordCheck::Wrong => None,
    };
    open(request, db, &operator, rehash.into_iter().chain(attempt.has_succeeded(request.now()))).await
}

/// Opens a session for an operator whose password was right; `also` is written with it.
async fn open(
    request: &Request<Anyone>,
    db: &ControlDb,
    operator: &OperatorLoginRow,
    also: impl Iterator<Item = (ControlSql, Vec<Arg>)>,
) -> Result<Response, Problem> {
    let key = FreshKey::new(KeyKind::OperatorSession).map_err(problem::internal)?;
    let (now, id, session) = (request.now(), operator.id.as_str(), key.id.as_str());
    let until = now.plus_seconds(SESSION_SECONDS);
    let address = request.incoming.address();
    let entry = PlatformAuditEntry {
        at: now,
        actor: format!("operator:{id}"),
        operation: "operator.login",
        tenant: None,
        request_id: &request.incoming.id,
        detail: json!({ "subject": session, "address": address }),
    };
    let insert = args![session, id, digest(key.text.as_bytes()), address, now.millis(), until.millis()];
    let mut batch =
        vec![(KEEP_NEWEST, args![id]), (INSERT, insert), (NOTE_LOGIN, args![id, now.millis()]), entry.statement()];
    batch.extend(also);
    db.batch(batch).await?;
    let data = json!({
        "token": key.text,
        "token_type": "Bearer",
        "expires_at": until,
        "operator": { "id": id, "email": operator.email, "name": operator.name, "role": operator.role },
    });
    Response::json(200, &data, None)
}

/// `POST /api/v1/operators/logout`
pub async fn logout(request: Request<Operator>) -> Result<Response, Problem> {
    let session = session(&request)?;
    let db = ControlDb::open(&request.bindings, "sign an operator out")?;
    let batch = vec![(END, args![session]), audit(&request, "operator.logout", subject(session))];
    let commit = async { db.batch(batch).await.map(drop).map_err(Problem::from) };
    let (operator, ending) = (request.caller.actor(), revocation::operator_session(session));
    ending_everywhere(&request, &db, (&operator, &ending), commit).await?;
    Ok(Response::empty(204))
}

/// `GET /api/v1/operators/me`
pub async fn me(request: Request<Operator>) -> Result<Response, Problem> {
    let db = ControlDb::open(&request.bindings, "show an operator to themselves")?;
    let row = db.row::<ViewRow>(&ME, args![session(&request)?]).await?.ok_or_else(problem::unauthorized)?;
    let mut view = row.shown()?;
    if let Some(members) = view.as_object_mut() {
        members.insert("permissions".to_owned(), request.caller.permissions().names().into());
    }
    Response::json(200, &view, None)
}

/// `GET /api/v1/operators/me/tenants`
pub async fn my_tenants(request: Request<Operator>) -> Result<Response, Problem> {
    let OperatorKind::Person { id, is_admin, .. } = request.caller.who() else { return Err(problem::unauthorized()) };
    let text = request.incoming.query.get("q").filter(|q| !q.is_empty()).map(lower_case);
    if text.as_ref().is_some_and(|q| q.len() > 200) {
        return Err(problem::invalid_query("q", Invalid::new("too_long", "must be at most 200 bytes long")));
    }
    let filters = json!([id, text]).to_string();
    let params = ListParams::read(&request, "operators.my_tenants", &filters)?;
    let mut args = params.args();
    args.extend(args![text, request.now().millis()]);
    if !is_admin {
        args.extend(args![id.as_str()]);
    }
    let db = ControlDb::open(&request.bindings, "list an operator's tenants")?;
    let rows = db.rows::<ViewRow>(if *is_admin { &EVERY_TENANT } else { &GRANTED_TENANTS }, args).await?;
    params.answer_with(&request, rows, None, async |view| enterable(&request, &db, view).await).await
}

/// The JSON of a tenant, if the role that was granted is still there: a tenant may have deleted it, and made another one of
/// its name.
async fn enterable(request: &Request<Operator>, db: &ControlDb, mut view: Value) -> Result<Option<Value>, Problem> {
    let Value::Object(members) = &mut view else { return Ok(Some(view)) };
    add_slug_host(members, request.bindings.settings.root_domain.as_str());
    let granted = members.remove("role_id");
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, role) = (text("tenant_id"), text("role"));
    if is_built_in(role) {
        return Ok(Some(view));
    }
    let Some(tenant) = Tenant::find(db, id).await? else { return Ok(None) };
    let rows = TenantDb::open(&request.bindings, &tenant.id, &tenant.placement())?;
    let present = own_role(&rows, role).await?;
    let is_same = present.is_some_and(|(_, id)| granted.as_ref().and_then(Value::as_str) == Some(&id));
    Ok(is_same.then_some(view))
}

/// Adds the host of the slug behind the custom domains, of which the primary one comes first.
fn add_slug_host(members: &mut Map<String, Value>, root: &str) {
    let slug = members.get("slug").and_then(Value::as_str).unwrap_or_default();
    let host = format!("{slug}.{root}");
    if let Some(Value::Array(hosts)) = members.get_mut("hosts") {
        hosts.push(host.into());
    }
}

/// Deletes expired sessions and past counts. Run by cron each minute.
pub async fn forget_over(bindings: &Bindings) -> Result<(), Problem> {
    let db = ControlDb::open(bindings, "forget operators' sessions")?;
    let now = SystemClock.now();
    let mut batch = vec![(FORGET_OVER, args![now.millis()])];
    batch.extend(login_failures::forget_past(now));
    db.batch(batch).await?;
    Ok(())
}

fn session(request: &Request<Operator>) -> Result<&str, Problem> {
    match request.caller.who() {
        OperatorKind::Person { session, .. } => Ok(session),
        OperatorKind::FirstKey | OperatorKind::Key { .. } => Err(problem::unauthorized()),
    }
}
