//! What a repository says of itself stands in several files; they say the same.

use std::fs;
use std::path::Path;

use crate::none;
use crate::source::{read, root};

const LICENSE: &str = "Apache-2.0";

/// Every manifest of a crate, down to the third folder, but for what was built or installed.
fn manifests() -> Vec<String> {
    fn look(folder: &Path, depth: usize, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name == "Cargo.toml" {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            } else if depth < 3
                && path.is_dir()
                && !name.starts_with('.')
                && !["target", "node_modules"].contains(&&*name)
            {
                look(&path, depth + 1, found);
            }
        }
    }
    let mut found = Vec::new();
    look(&root(), 0, &mut found);
    found.sort();
    found
}

/// The lines of a section of TOML, without its comments.
fn section<'a>(toml: &'a str, header: &str) -> Vec<&'a str> {
    let lines = toml.lines().skip_while(|line| *line != header).skip(1).take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The text that a key has in a section.
fn text<'a>(toml: &'a str, header: &str, key: &str) -> Option<&'a str> {
    let value =
        section(toml, header).into_iter().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
    value.trim().strip_prefix('"')?.strip_suffix('"')
}

/// Manifests of crates that do not name the licence.
fn unlicensed(manifests: &[(String, String)]) -> Vec<String> {
    let named = |toml: &str| text(toml, "[package]", "license") == Some(LICENSE) || !toml.contains("[package]");
    manifests
        .iter()
        .filter(|(_, toml)| !named(toml))
        .map(|(path, _)| format!("{path}: no license = \"{LICENSE}\""))
        .collect()
}

/// Where a release's number and licence are said once more, and differently.
fn disagreeing(cargo: &str, npm: &str, changelog: &str) -> Vec<String> {
    let version = text(cargo, "[package]", "version").unwrap_or_default();
    let npm: serde_json::Value = serde_json::from_str(npm).unwrap();
    let mut faults = Vec::new();
    if npm["version"] != version {
        faults.push(format!("package.json: version {} beside {version} of Cargo.toml", npm["version"]));
    }
    if npm["license"] != LICENSE {
        faults.push(format!("package.json: license {}", npm["license"]));
    }
    if !changelog.lines().any(|line| line.starts_with(&format!("## [{version}]"))) {
        faults.push(format!("CHANGELOG.md: no section [{version}]"));
    }
    faults
}

/// The version of a package in a Cargo.lock.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = "))
}

/// What makes the empty Worker of the benchmark another kind of Worker than this project's.
fn built_differently(ours: [&str; 2], empty: [&str; 2]) -> Vec<String> {
    let mut faults = Vec::new();
    for header in ["[profile.release]", "[package.metadata.wasm-pack.profile.release]"] {
        if section(ours[0], header).is_empty() || section(ours[0], header) != section(empty[0], header) {
            faults.push(format!("bench/peers/empty_worker/Cargo.toml: {header} is not that of Cargo.toml"));
        }
    }
    for package in ["worker", "wasm-bindgen", "js-sys", "web-sys"] {
        let (ours, empty) = (locked(ours[1], package), locked(empty[1], package));
        if ours.is_none() || ours != empty {
            faults.push(format!("bench/peers/empty_worker/Cargo.lock: {package} is {empty:?} beside {ours:?}"));
        }
    }
    faults
}

#[test]
fn every_crate_names_the_licence_that_stands_in_license() {
    let manifests: Vec<_> = manifests().into_iter().map(|path| (path.clone(), read(&path))).collect();
    assert!(manifests.len() >= 4, "{manifests:?}");
    none("Every manifest names the licence", &unlicensed(&manifests));
    assert!(read("LICENSE").contains("Apache License\n                           Version 2.0, January 2004"));
}

#[test]
fn a_crate_without_licence_is_found() {
    let of = |toml: &str| unlicensed(&[("Cargo.toml".to_owned(), toml.to_owned())]).len();
    assert_eq!(of("[package]\nname = \"a\"\nlicense = \"Apache-2.0\"\n"), 0);
    assert_eq!(of("[workspace]\nmembers = []\n"), 0);
    assert_eq!(of("[package]\nname = \"a\"\n"), 1);
    assert_eq!(of("[package]\nname = \"a\"\nlicense = \"MIT\"\n"), 1);
    assert_eq!(of("[package]\nname = \"a\"\n\n[dependencies]\nlicense = \"Apache-2.0\"\n"), 1);
}

#[test]
fn the_version_is_the_same_wherever_it_stands() {
    none("One version", &disagreeing(&read("Cargo.toml"), &read("package.json"), &read("CHANGELOG.md")));
}

#[test]
fn a_version_that_one_file_does_not_know_is_found() {
    let cargo = "[package]\nversion = \"1.2.3\"\n";
    let npm = |version: &str| format!(r#"{{"version": "{version}", "license": "Apache-2.0"}}"#);
    assert_eq!(disagreeing(cargo, &npm("1.2.3"), "## [1.2.3] - 2026-01-01\n").len(), 0);
    assert_eq!(disagreeing(cargo, &npm("1.2.4"), "## [1.2.3] - 2026-01-01\n").len(), 1);
    assert_eq!(disagreeing(cargo, &npm("1.2.3"), "## [1.2.30] - 2026-01-01\n").len(), 1);
    assert_eq!(disagreeing(cargo, r#"{"version": "1.2.3"}"#, "## [1.2.3]\n").len(), 1);
}

#[test]
fn the_empty_worker_is_built_as_this_one() {
    let of = |folder: &str| [read(format!("{folder}Cargo.toml")), read(format!("{folder}Cargo.lock"))];
    let ([toml, lock], [empty_toml, empty_lock]) = (of(""), of("bench/peers/empty_worker/"));
    none("Both Workers are built alike", &built_differently([&toml, &lock], [&empty_toml, &empty_lock]));
}

#[test]
fn an_empty_worker_that_is_built_differently_is_found() {
    let toml =
        "[profile.release]\nlto = \"fat\"\n\n[package.metadata.wasm-pack.profile.release]\nwasm-opt = [\"-Oz\"]\n";
    let package = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n\n");
    let lock = ["worker", "wasm-bindgen", "js-sys", "web-sys"].map(package).concat();
    assert_eq!(built_differently([toml, &lock], [toml, &lock]).len(), 0);
    assert_eq!(built_differently([toml, &lock], [&toml.replace("fat", "thin"), &lock]).len(), 1);
    assert_eq!(built_differently([toml, &lock], [toml, &lock.replacen("1.0.0", "1.0.1", 1)]).len(), 1);
}

#[test]
fn each_trigger_of_cron_has_its_part() {
    let toml = read("wrangler.toml");
    let crons = section(&toml, "[triggers]").into_iter().find_map(|line| line.strip_prefix("crons = ")).unwrap();
    let crons: Vec<String> = serde_json::from_str(crons).unwrap();
    assert_eq!(crons, carillon::pipeline::cron::TRIGGERS.map(|(trigger, _)| trigger));
}
