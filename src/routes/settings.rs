//! What a tenant says of itself: settings for its members, branding for everybody.

use worker::Method;

use super::contract::answers;
use super::route::{Access, Admission, Route, Surface, handler, shipped};
use crate::api;
use domain::permission::Permission;

/// The section.
pub const ROUTES: &[Route] = &shipped([
    Route {
        name: "settings.get",
        method: Method::Get,
        path: "/api/v1/settings",
        aliases: &["/api/settings"],
        surface: Surface::Both,
        access: Access::Member(Permission::SettingsRead),
        admission: Admission::Requests,
        handler: handler!(Member, api::settings::get_settings),
        contract: answers("200 SettingsShown +ETag; 304").params("If-None-Match"),
        summary: "Shows every setting with the value that holds.",
        request: "Header `If-None-Match`.",
        answer: "200 `{auto_publish, content_types[], default_categories[], seo_optimization, custom_templates, workflow_approval, registration, password_policy, mercure}` with `ETag`; 304.",
    },
    Route {
        name: "settings.patch",
        method: Method::Patch,
        path: "/api/v1/settings",
        aliases: &["/api/settings"],
        surface: Surface::Both,
        access: Access::Member(Permission::SettingsWrite),
        admission: Admission::Requests,
        handler: handler!(Member, api::settings::patch_settings),
        contract: answers(
            "200 SettingsShown +ETag; 202 SettingsShown +ETag; 403 beyond_own_permissions; 409 changed_meanwhile",
        )
        .params("If-Match")
        .body("Settings"),
        summary: "Changes settings (JSON Merge Patch); `null` returns one to its default. Of changes at the same moment all stand.",
        request: "What `settings.get` shows; at most 20 `content_types` and `default_categories`, 16 KB in all. `registration` is `open` or `closed`. `mercure` is `{compatibility, anonymous, subscriptions, issuers[]}`: whether clients of before 1.0 are served, whether somebody without a token may subscribe (both on by default), whether it is told who subscribes (off by default), and up to 5 issuers `{issuer, jwks_url, allows[]}` whose tokens may `publish` or `subscribe`. Header `If-Match`.",
        answer: "200 the settings with `ETag`, or 202; 403 `beyond_own_permissions` to open registration without the permissions of `viewer`, or to take tokens that may publish without `tenant:configure` or that may subscribe without `subscriber-tokens:write`; 412; 422.",
    },
    Route {
        name: "branding.get",
        method: Method::Get,
        path: "/api/v1/branding",
        aliases: &["/api/branding"],
        surface: Surface::Tenant,
        access: Access::Visitor,
        admission: Admission::Requests,
        handler: handler!(Visitor, api::settings::get_branding),
        contract: answers("200 BrandingShown +ETag; 304").params("If-None-Match"),
        summary: "Shows how the tenant looks.",
        request: "Header `If-None-Match`.",
        answer: "200 `{name, logo_url, favicon_url, variables}` with `ETag` and `Cache-Control: public, max-age=60`; what was not set is null; 304.",
    },
    Route {
        name: "branding.patch",
        method: Method::Patch,
        path: "/api/v1/branding",
        aliases: &["/api/branding"],
        surface: Surface::Both,
        access: Access::Member(Permission::SettingsWrite),
        admission: Admission::Requests,
        handler: handler!(Member, api::settings::patch_branding),
        contract: answers("200 BrandingShown +ETag; 202 BrandingShown +ETag; 409 changed_meanwhile")
            .params("If-Match")
            .body("Branding"),
        summary: "Changes how the tenant looks (JSON Merge Patch); caches may show the old look for a minute.",
        request: "`name`, `logo_url` and `favicon_url` (https, or a path on the tenant's host), `variables`: up to 50 CSS custom properties (`--` and lower-case letters, digits, `-`), each a colour (name, hex, `rgb()`, `hsl()`, `oklch()`), a length, a number or a list of fonts. Header `If-Match` with the tag of `branding.get`.",
        answer: "200 the branding with `ETag`, or 202; 412; 422.",
    },
    Route {
        name: "branding.css",
        method: Method::Get,
        path: "/branding.css",
        aliases: &[],
        surface: Surface::Tenant,
        access: Access::Visitor,
        admission: Admission::Requests,
        handler: handler!(Visitor, api::settings::style_sheet),
        contract: answers("200 css +ETag; 304").params("If-None-Match"),
        summary: "The branding's custom properties as a style sheet.",
        request: "Header `If-None-Match`.",
        answer: "200 `text/css`: `:root{--name:value;…}` with `ETag` and `Cache-Control: public, max-age=60`; 304.",
    },
]);
