"""What every request of schemathesis gets beside what the document says of it.

Each comes from an address of its own. Half of them name what is really there, and say what no schema can: a role of the
tenant, an end that is to come. What the run itself stands on, the key that it calls with, is changed by none of them.
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re

import schemathesis

NAME = re.compile("[a-z0-9_-]+")
NUMBERS = itertools.count(1)
STAGE = json.loads(os.environ["CONTRACT_STAGE"])
# Values by the name of a path's parameter: the first stays, the others may be deleted.
OBJECTS = STAGE["objects"]
PROTECTED = set(STAGE["protected"])
KEPT = {known[0] for known in OBJECTS.values()}
# Values by the name of a body's field.
FIELDS = {
    "tenant_id": STAGE["tenant"],
    "role": "viewer",
    "default_role": "viewer",
    "role_map": {"editors": "editor"},
    "plan": "pro",
    "tier": "pro",
    "expires_at": "2100-01-01T00:00:00Z",
    "ip_allowlist": ["10.0.0.0/8"],
    "issuer": "https://login.example.org",
    "wpgraphql_endpoint": "https://site.example.org/graphql",
    "password": "correct horse battery staple",
    "new_password": "correct horse battery staple",
    "redirect_uris": ["https://app.example.org/back"],
}
# Whose addresses would let nobody in, or make the tenant under test another one.
NEVER = {"tenants.create": {"tenant_id"}, "tenants.replace": {"tenant_id"}, "tenants.patch": {"tenant_id"}}


class Signed:
    """Signs a webhook as its site would."""

    def __call__(self, request):
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode()
        signature = hmac.new(STAGE["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
        request.headers["X-Webhook-Signature"] = f"sha256={signature}"
        return request


class Mercure:
    """Sends a token as a site mints it: of a publisher for a publication, else of a subscriber."""

    def __call__(self, request):
        action = "publish" if request.method == "POST" else "subscribe"
        secret = STAGE["webhook_secret" if action == "publish" else "subscription_secret"]
        claims = {"mercure": {action: ["*"]}, "exp": 4_000_000_000}
        signed = ".".join(self.part(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        signature = self.part(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())
        request.headers["Authorization"] = f"Bearer {signed}.{signature}"
        return request

    def part(self, data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def name_what_is_there(case, number, name):
    # To begin a sign-in is to call a provider, and there is none.
    for parameter in case.path_parameters if name != "sso.begin" else ():
        known = OBJECTS.get(f"{name.split('.')[0]}.{parameter}", OBJECTS.get(parameter))
        if known:
            spare = known[1:] if case.method.upper() == "DELETE" else []
            case.path_parameters[parameter] = spare[number // 2 % len(spare)] if spare else known[0]
    if isinstance(case.body, dict):
        for field, value in FIELDS.items():
            if case.body.get(field) is not None and field not in NEVER.get(name, ()):
                case.body[field] = value
        if name in {"records.create", "records.patch", "records.replace"}:
            case.body = {"title": f"Note {number}", "score": number}
        if name == "documents.put":
            case.body = {"documents": [{"text": f"query Q{number} {{ posts {{ id }} }}", "alias": f"posts/{number}"}]}
        if name == "cache.explain":
            case.body["query"] = f"query Q{number} {{ posts {{ id }} }}"
        if name.startswith("contacts.") and case.body.get("note") is not None:
            case.body["note"] = OBJECTS["record_id"][0]
        if case.body.get("domain") and name == "domains.attach":
            case.body["domain"] = f"site-{number}.example.org"
        if name.startswith("tenants."):
            case.body.update({field: [] for field in ("custom_domains", "cors_origins") if case.body.get(field)})


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(NUMBERS)
    name = case.operation.definition.raw["operationId"]
    is_linked = case.meta is not None and case.meta.phase.name.value == "stateful"
    is_right = case.meta is not None and case.meta.generation.mode.value == "positive"
    if number % 2 and is_right and not is_linked:
        name_what_is_there(case, number, name)
    case.headers["CF-Connecting-IP"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    declared = {parameter.name for parameter in case.operation.headers}
    if STAGE["is_platform"] and "X-Tenant-ID" in declared:
        # Where the path names a tenant too, both must be the same.
        named = case.path_parameters.get("tenant_id", "")
        case.headers["X-Tenant-ID"] = named if NAME.fullmatch(named) else STAGE["tenant"]
    if name.startswith("webhook.") and is_right:
        kwargs["auth"] = Signed()
    if name.startswith("mercure.") and is_right:
        kwargs["auth"] = Mercure()
    if name == "auth.revoke_all" and isinstance(case.body, dict) and case.body.get("api_keys") is True:
        # It would take the key that the run calls with.
        case.body["api_keys"] = False
    if case.method.upper() == "DELETE" or name in {"tenants.replace", "tenants.patch"}:
        for parameter, value in case.path_parameters.items():
            # A chain of requests that leads to an object may take it: chains come last.
            if value in PROTECTED or (value in KEPT and not is_linked):
                case.path_parameters[parameter] = "somebody-else"
