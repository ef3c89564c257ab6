// OpenID providers for the tests of single sign-on: `oidc-provider`, which is certified, with knobs that make it lie.
//
//   node issuer.mjs
//
// prints one line on stdout once it serves, and ends when its stdin does:
//
//   {"control":"http://127.0.0.1:PORT"}
//
// The control server makes issuers, each on a port of its own, and answers in JSON:
//
//   POST /issuer  {"redirect_uris", "accounts", "alg"?, "auth_method"?, "secret"}  {"issuer"}
//   POST /knob    {"issuer", "lie"?, "rotate"?, "down"?, "moved"?, "accounts"?, "metadata"?}  what is not named stays
//   POST /token   {"issuer", "header", "claims"}          {"token"}: signed with the issuer's key, which it names
//   POST /counts  {"issuer"}                              {"jwks", "token"}: how often they were asked for
//
// Nobody is asked for a password or for consent: whom `login_hint` names is signed in, and "denied" is refused.
// What stands at `moved` answers with a redirect to a place where it would be found.
// `lie` names what is wrong with the next ID tokens; each is signed with the issuer's own key unless the lie is about that.

import { createPrivateKey, createPublicKey, createHmac, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";

// It reports on its own configuration; nobody reads that here.
console.info = console.warn = () => {};
const { default: Provider } = await import("oidc-provider");

const CLIENT = "carillon";
const KINDS = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

const encode = (value) => Buffer.from(value).toString("base64url");
const decode = (part) => JSON.parse(Buffer.from(part, "base64url"));

/** A store per issuer, so that it survives a rotation. */
function adapterOver(rows) {
  return class Adapter {
    constructor(name) {
      this.name = name;
    }
    #key = (id) => `${this.name}:${id}`;
    upsert = async (id, row) => void rows.set(this.#key(id), row);
    find = async (id) => rows.get(this.#key(id));
    findByUid = async (uid) => [...rows.values()].find((row) => row.uid === uid);
    findByUserCode = async () => undefined;
    destroy = async (id) => void rows.delete(this.#key(id));
    revokeByGrantId = async (grant) => rows.forEach((row, key) => row.grantId === grant && rows.delete(key));
    consume = async (id) => void (rows.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000));
  };
}

class Issuer {
  rows = new Map();
  counts = { discovery: 0, jwks: 0, token: 0 };
  lie = null;
  down = false;
  moved = null;
  metadata = {};

  constructor({ redirect_uris, accounts, alg = "RS256", auth_method = "client_secret_basic", secret }) {
    Object.assign(this, { redirect_uris, accounts, alg, auth_method, secret });
  }

  async start() {
    this.server = createServer((request, response) => this.serve(request, response));
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    this.rotate();
    return this;
  }

  /** Another key, under another name; the one before is gone. */
  rotate() {
    this.key = KINDS[this.alg]();
    this.kid = encode(randomBytes(6));
    const jwk = { ...this.key.privateKey.export({ format: "jwk" }), kid: this.kid, use: "sig", alg: this.alg };
    this.provider = new Provider(this.url, this.configuration(jwk));
    this.provider.use(async (ctx, next) => {
      await next();
      if (ctx.path === "/token" && ctx.body?.id_token) ctx.body.id_token = this.twist(ctx.body.id_token);
      if (ctx.path.endsWith("/openid-configuration")) Object.assign(ctx.body, this.metadata);
    });
    this.handler = this.provider.callback();
  }

  configuration(jwk) {
    return {
      adapter: adapterOver(this.rows),
      jwks: { keys: [jwk] },
      clients: [
        {
          client_id: CLIENT,
          client_secret: this.secret,
          redirect_uris: this.redirect_uris,
          id_token_signed_response_alg: this.alg,
          token_endpoint_auth_method: this.auth_method,
        },
      ],
      clientAuthMethods: [this.auth_method],
      enabledJWA: { idTokenSigningAlgValues: [this.alg] },
      scopes: ["openid", "email", "profile", "groups"],
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
      conformIdTokenClaims: false,
      cookies: { keys: ["a key of no importance"] },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...this.accounts[id] }) }),
      loadExistingGrant: async (ctx) => {
        const { client, session, provider } = ctx.oidc;
        const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
        grant.addOIDCScope("openid email profile groups");
        await grant.save();
        return grant;
      },
    };
  }

  async serve(request, response) {
    const path = request.url.split("?")[0];
    if (path.endsWith("/openid-configuration")) this.counts.discovery += 1;
    if (this.down) return request.socket.destroy();
    if (request.url === this.moved) return response.writeHead(307, { location: `${request.url}?` }).end();
    if (path === "/jwks") this.counts.jwks += 1;
    if (path === "/token") this.counts.token += 1;
    if (!path.startsWith("/interaction/")) return this.handler(request, response);
    const { params } = await this.provider.interactionDetails(request, response);
    const denied = { error: "access_denied", error_description: "words of the provider" };
    const result = params.login_hint === "denied" ? denied : { login: { accountId: params.login_hint } };
    await this.provider.interactionFinished(request, response, result);
  }

  /** An ID token as the lie has it. */
  twist(token) {
    this.first ??= token;
    if (this.lie === null) return token;
    const [head, body] = token.split(".");
    const [header, claims, now] = [decode(head), decode(body), Math.floor(Date.now() / 1000)];
    const lies = {
      nonce: () => this.sign(header, { ...claims, nonce: "another" }),
      aud: () => this.sign(header, { ...claims, aud: "another" }),
      iss: () => this.sign(header, { ...claims, iss: "https://another.example.org" }),
      expired: () => this.sign(header, { ...claims, exp: now - 1 }),
      early: () => this.sign(header, { ...claims, iat: now + 3600 }),
      replay: () => this.first,
      none: () => `${encode(JSON.stringify({ ...header, alg: "none" }))}.${body}.`,
      hs256: () => this.symmetric({ ...header, alg: "HS256" }, claims),
      unsigned: () => `${head}.${encode(JSON.stringify({ ...claims, sub: "somebody else" }))}.${token.split(".")[2]}`,
      kid: () => this.sign({ ...header, kid: "another" }, claims),
      key: () => this.sign(header, claims, KINDS[this.alg]().privateKey),
    };
    return lies[this.lie]();
  }

  sign(header, claims, key = createPrivateKey(this.key.privateKey.export({ format: "pem", type: "pkcs8" }))) {
    const signed = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
    const how = this.alg === "EdDSA" ? null : "sha256";
    return `${signed}.${encode(sign(how, Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }))}`;
  }

  /** What takes a public key for a symmetric one would take this. */
  symmetric(header, claims) {
    const pem = createPublicKey(this.key.privateKey).export({ format: "pem", type: "spki" });
    const signed = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
    return `${signed}.${createHmac("sha256", pem).update(signed).digest("base64url")}`;
  }
}

const issuers = new Map();

const controls = {
  async "/issuer"(asked) {
    const issuer = await new Issuer(asked).start();
    issuers.set(issuer.url, issuer);
    return { issuer: issuer.url };
  },
  async "/knob"({ issuer, rotate = false, ...rest }) {
    Object.assign(issuers.get(issuer), rest);
    if (rotate) issuers.get(issuer).rotate();
    return {};
  },
  async "/token"({ issuer, header, claims }) {
    const { kid, alg } = issuers.get(issuer);
    return { token: issuers.get(issuer).sign({ alg, kid, ...header }, claims) };
  },
  "/counts": async ({ issuer }) => issuers.get(issuer).counts,
};

const control = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    response.end(JSON.stringify(await controls[request.url](JSON.parse(Buffer.concat(chunks)))));
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});

process.stdin.resume().once("end", () => process.exit(0));
await new Promise((done) => control.listen(0, "127.0.0.1", done));
console.log(JSON.stringify({ control: `http://127.0.0.1:${control.address().port}` }));
