//! What a result was measured on, since figures of two machines do not compare.

use std::fs;
use std::process::Command;

/// One paragraph for the head of the results.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cores} cores ({cpu}), Linux {}, load average {} at the start; workerd {}, {}, nchan {}. \
         The load generator runs on the same machine, over loopback.",
        kernel.trim(),
        load.split(' ').next().unwrap_or("?"),
        npm("workerd"),
        nginx(),
        nchan(),
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

fn npm(package: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules/");
    fs::read_to_string(format!("{path}{package}/package.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|package| Some(package.get("version")?.as_str()?.to_owned()))
        .unwrap_or_else(|| "not installed".to_owned())
}

fn nginx() -> String {
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("nginx").arg("-v").env("PATH", path).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned()).unwrap_or_default();
    match said.rsplit_once("nginx/") {
        Some((_, version)) => format!("nginx {version}"),
        None => "nginx not installed".to_owned(),
    }
}

fn nchan() -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", "libnginx-mod-nchan"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => "not installed".to_owned(),
    }
}
