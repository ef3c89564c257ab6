"""Starts the built Worker, and runs schemathesis against both of its OpenAPI documents."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_KEY = "car_pk_test_4f0d1c86b2e94a53a7c2c9d05e7b1f38"
SECRETS = {"PLATFORM_KEY": PLATFORM_KEY, "KEK_v1": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
PASSWORD = "correct horse battery staple"
# Things of a kind that a run may delete; a tenant has at most 20 providers.
SPARE = 7
UNLIMITED = [
    "max_api_requests_per_minute", "max_api_requests_per_day", "max_anonymous_requests_per_minute",
    "max_webhooks_per_minute", "max_users",
]


class Worker:
    """The Worker, as the tests serve it."""

    def __enter__(self):
        self.state = tempfile.TemporaryDirectory(prefix="carillon-contract-")
        options = {
            "build": "build",
            "state": self.state.name,
            "vars": {"ROOT_DOMAIN": "localhost", "MAIL_LOG": "true", "DOMAIN_PROOF": "assumed"},
            "secrets": SECRETS,
        }
        self.log = open(Path(self.state.name) / "stderr.log", "w+")
        command = [ROOT / "node_modules/node/bin/node", ROOT / "tests/runtime/serve.mjs", json.dumps(options)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        for line in self.process.stdout:
            if line.startswith("{"):
                told = json.loads(line)
                self.url, self.control = told["url"], told["control"]
                return self
        self.log.seek(0)
        sys.exit(f"the Worker did not start:\n{self.log.read()}")

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        self.state.cleanup()

    def send(self, method, host, path, body=None, bearer=PLATFORM_KEY):
        headers = {"Host": host, "Content-Type": "application/json", "CF-Connecting-IP": "10.255.255.255"}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def call(self, *request, **options):
        return json.loads(self.send(*request, **options))["data"]

    def document(self, host, bearer):
        return self.send("GET", host, "/api/v1/openapi.json", bearer=bearer if host != "localhost" else None)

    def tenant(self, name):
        limits = dict.fromkeys(UNLIMITED, "unlimited")
        body = {"tenant_id": name, "plan": "enterprise", "rate_limits": limits, "settings": {"registration": "open", "mercure": {"subscriptions": True}}}
        return self.call("POST", "localhost", "/api/v1/tenants", body)

    def key(self, tenant):
        """A key that may do everything in a tenant."""
        return self.make(tenant, "api-keys", {"name": "contract", "scopes": ["*"]})

    def make(self, tenant, what, body):
        return self.call("POST", "localhost", f"/api/v1/{what}?tenant_id={tenant}", body)

    def objects(self, tenant):
        """Things that a tenant has, by the parameter that names them: one to stay, others to go."""
        made = {name: [] for name in ["user_id", "role", "invitation_id", "provider_id", "client_id", "api_keys.key_id"]}
        for n in range(SPARE + 1):
            user = self.make(tenant, "users", {"email": f"user-{n}@contract.test", "role": "viewer"})
            role = self.make(tenant, "roles", {"name": f"role-{n}", "permissions": ["users:read"]})
            invitation = self.make(tenant, "invitations", {"email": f"guest-{n}@contract.test"})
            provider = {"id": f"corp-{n}", "name": "Corp", "issuer": "https://login.example.org", "client_id": "c"}
            provider = self.make(tenant, "sso/providers", provider)
            path = f"/api/v1/sso/clients/app_{n}-{tenant}?tenant_id={tenant}"
            client = self.call("PUT", "localhost", path, {"redirect_uris": ["https://app.example.org/back"]})
            key = self.make(tenant, "api-keys", {"name": "spare", "scopes": ["users:read"]})
            ids = [user["id"], role["name"], invitation["id"], provider["id"], client["client_id"], key["id"]]
            for name, one in zip(made, ids, strict=True):
                made[name].append(one)
        return {**made, **self.records(tenant)}

    def records(self, tenant):
        """Collections, and records in the first of them."""
        fields = {"title": {"type": "string", "searched": True}, "score": {"type": "integer", "indexed": True}}
        schema = {"type": "object", "properties": fields}
        names, records = ["notes", *(f"spare-{n}" for n in range(SPARE))], []
        for name in names:
            self.make(tenant, "collections", {"slug": name, "schema": schema, "versioned": True, "public_read": True})
        for n in range(SPARE + 1):
            records.append(self.make(tenant, "notes", {"title": f"Note {n}", "score": n})["id"])
        return {"collection": ["notes"], "collections.collection": names, "record_id": records, "version": ["1"],
                "template": ["leads"], "contacts.record_id": self.contacts(tenant)}

    def contacts(self, tenant):
        """A collection with every kind of field, which the document describes by paths of its own."""
        fields = {
            "email": {"type": "string", "format": "email", "unique": True},
            "source": {"type": "string", "enum": ["web", "phone"], "default": "web"},
            "score": {"type": "integer", "minimum": 0, "maximum": 100, "indexed": True},
            "weight": {"type": "number"},
            "called_at": {"type": ["string", "null"], "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 5},
            "address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
            "note": {"type": "string", "reference": "notes"},
            "active": {"type": "boolean"},
        }
        body = {
            "slug": "contacts", "schema": {"type": "object", "properties": fields, "required": ["email", "source"]},
            "statuses": {"initial": "new", "transitions": {"new": ["won", "lost"], "lost": ["new"]}},
            "versioned": True, "soft_delete": True, "files": True, "alias": "client_id",
        }
        self.make(tenant, "collections", body)
        sent = ({"email": f"caller-{n}@contract.test", "score": n} for n in range(SPARE + 1))
        return [self.make(tenant, "contacts", contact)["id"] for contact in sent]

    def platforms_objects(self):
        """The same of the platform's own."""
        made = {"operator_id": [], "tenant_id": [], "domain": ["spare.example.org"], "platform_keys.key_id": []}
        for n in range(SPARE + 1):
            body = {"email": f"support-{n}@contract.test", "name": "S", "password": PASSWORD, "role": "support"}
            made["operator_id"].append(self.call("POST", "localhost", "/api/v1/operators", body)["id"])
            body = {"tenant_id": f"spare-{n}", "custom_domains": ["spare.example.org"] if n == 0 else []}
            made["tenant_id"].append(self.call("POST", "localhost", "/api/v1/tenants", body)["tenant_id"])
            body = {"name": "spare", "permissions": ["tenants:read"]}
            made["platform_keys.key_id"].append(self.call("POST", "localhost", "/api/v1/platform-keys", body)["id"])
        return made

    def user(self, tenant):
        """An owner who has proven their address, and signs in."""
        host = f"{tenant}.localhost"
        body = {"email": "owner@contract.test", "password": PASSWORD}
        registered = self.call("POST", host, "/api/v1/auth/register", body, bearer=None)
        proof = {"token": self.mailed(tenant), "registration": registered["registration"]}
        self.call("POST", host, "/api/v1/auth/verify-email", proof, bearer=None)
        return self.call("POST", host, "/api/v1/auth/login", body, bearer=None)

    def mailed(self, tenant):
        while True:
            with urllib.request.urlopen(f"{self.control}/logs", timeout=30) as logs:
                for line in map(json.loads, logs):
                    if line.get("event") == "mail" and line.get("tenant") == tenant:
                        return line["token"]

    def operator(self):
        """An admin of the platform who signs in."""
        body = {"email": "admin@contract.test", "name": "Admin", "password": PASSWORD, "role": "admin"}
        self.call("POST", "localhost", "/api/v1/operators", body)
        body = {"email": body["email"], "password": PASSWORD}
        return self.call("POST", "localhost", "/api/v1/operators/login", body, bearer=None)


def run(worker, name, host, bearer, stage, options):
    """One run of schemathesis; whether every check held."""
    print(f"\n── {name}", flush=True)
    stage = {"is_platform": host == "localhost", "protected": [], "objects": {}, **stage}
    environment = {**os.environ, "CONTRACT_BEARER": bearer, "CONTRACT_STAGE": json.dumps(stage)}
    # As a member reads it: with the paths of every collection.
    document = Path(worker.state.name) / f"{host}.json"
    document.write_text(worker.document(host, bearer))
    command = [
        Path(sys.executable).with_name("schemathesis"), "--config-file", ROOT / "tests/contract/schemathesis.toml", "run",
        document, "--url", worker.url, "--header", f"Host: {host}", *options,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode == 0


# What only somebody who is signed in may do, and what ends the very session that asks.
OPERATORS_OWN = r"^(operators\.(me|my_tenants|logout)|auth\.(switch|impersonate))$"
USERS_OWN = r"^auth\.(me|logout|resend_verification|sessions\..*|password\.change)$"
# Streams do not end by themselves. Collections that are there to be deleted say nothing that others do not.
STREAMS_AND_SPARE = r"^(events\.(stream|diagnose)|mercure\.subscribe|spare-.*)$"


def main():
    with Worker() as worker:
        secrets = {name: worker.tenant(name) for name in ["contract", "site", "people"]}
        key, user, operator = worker.key("site"), worker.user("people"), worker.operator()
        platforms = {**worker.objects("contract"), **worker.platforms_objects()}
        only, but = "--include-operation-id-regex", "--exclude-operation-id-regex"
        named = ["webhook_secret", "subscription_secret"]
        contract, site, people = (
            {"tenant": name, **{secret: shown[secret] for secret in named}} for name, shown in secrets.items()
        )
        runs = [
            ("the platform, by its key", "localhost", PLATFORM_KEY,
             {**contract, "objects": platforms, "protected": [*secrets, operator["operator"]["id"]]},
             [but, OPERATORS_OWN]),
            ("the platform, by an operator's session", "localhost", operator["token"], contract,
             [only, OPERATORS_OWN, "--exclude-operation-id", "operators.logout"]),
            ("a tenant, by its key", "site.localhost", key["key"],
             {**site, "objects": {**worker.objects("site"), "tenant_id": ["site"]}, "protected": [key["id"]]}, [but, STREAMS_AND_SPARE]),
            ("a tenant, by a user's session", "people.localhost", user["access_token"],
             {**people, "protected": [user["session_id"]]},
             [only, USERS_OWN, "--exclude-operation-id", "auth.logout"]),
        ]
        wanted = sys.argv[1:] or [str(n) for n in range(len(runs))]
        held = [run(worker, *runs[int(n)]) for n in wanted]
        # Had a run revoked what it calls with, it would have shown nothing but 401.
        worker.call("GET", "site.localhost", "/api/v1/users", bearer=key["key"])
        worker.call("GET", "people.localhost", "/api/v1/auth/me", bearer=user["access_token"])
        worker.call("GET", "localhost", "/api/v1/operators/me", bearer=operator["token"])
    print(f"\n{held.count(True)} passed, {held.count(False)} failed")
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
