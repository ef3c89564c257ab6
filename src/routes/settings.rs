//! What a tenant says of itself: settings for its members, branding for everybody.

use super::entry::{get, handler, patch};
use super::route::Endpoint::{Member, Visitor};
use super::route::{Route, TokenRule};
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    get("settings.get", "/api/v1/settings", Member(Permission::SettingsRead, handler!(api::settings::get_settings)))
        .summary("Shows every setting with the value that holds.")
        .params("If-None-Match, If-Match")
        .answers("200 SettingsShown +ETag; 304"),
    patch(
        "settings.patch",
        "/api/v1/settings",
        Member(Permission::SettingsWrite, handler!(api::settings::patch_settings)),
    )
    .summary(
        "Changes settings (JSON Merge Patch); `null` returns one to its default. \
         Of changes at the same moment all stand.",
    )
    .params("If-Match, If-None-Match")
    .body("Settings <what is left out stays; at most 16 KB in all>")
    .answers(
        "200 SettingsShown +ETag; 202 SettingsShown +ETag <`pending: true`; the change arrives by itself>; 403 beyond_own_permissions <to open registration without the permissions of \
         `viewer`, to take tokens that may publish without `tenant:configure`, \
         or that may subscribe without `subscriber-tokens:write`, `events:read` and `records:read`>; 409 changed_meanwhile",
    ),
    get("branding.get", "/api/v1/branding", Visitor(TokenRule::Ignored, handler!(api::settings::get_branding)))
        .summary("Shows how the tenant looks.")
        .params("If-None-Match, If-Match")
        .answers(
            "200 BrandingShown +ETag <with `Cache-Control: public, max-age=60`; \
             what was not set is `null`>; 304",
        ),
    patch(
        "branding.patch",
        "/api/v1/branding",
        Member(Permission::SettingsWrite, handler!(api::settings::patch_branding)),
    )
    .summary("Changes how the tenant looks (JSON Merge Patch); caches may show the old look for a minute.")
    .params("If-Match <the tag of `branding.get`>, If-None-Match")
    .body("Branding <what is left out stays>")
    .answers(
        "200 BrandingShown +ETag; 202 BrandingShown +ETag <`pending: true`; the change arrives by itself>; 409 changed_meanwhile",
    ),
    get("branding.css", "/branding.css", Visitor(TokenRule::Ignored, handler!(api::settings::style_sheet)))
        .summary("The branding's custom properties as a style sheet.")
        .params("If-None-Match, If-Match")
        .answers("200 css +ETag <`:root{--name:value;…}`, with `Cache-Control: public, max-age=60`>; 304"),
];
