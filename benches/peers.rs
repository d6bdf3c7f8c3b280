//! Other engines, each in a process of its own: `benches/peers/run` builds and starts them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What an engine said about itself.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub matches: u64,
    pub cpu_ns: f64,
    pub deploy_ms: f64,
}

/// Whether others can be run, and why not.
pub struct Peers {
    missing: Option<String>,
}

impl Peers {
    #[allow(dead_code, reason = "the tests run without other engines")]
    pub fn look() -> Self {
        let has = |tool: &str| Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let missing = ["java", "javac", "mvn"].into_iter().find(|tool| !has(tool)).map(|tool| format!("not run: no {tool} here"));
        Self { missing }
    }

    pub fn none() -> Self {
        Self { missing: Some("not run: not asked for".to_owned()) }
    }

    /// Why they cannot be run.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Runs one to its end; what it writes to standard error is shown where it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<Said, String> {
        let text = self.output(arguments)?;
        let line = text.lines().last().unwrap_or_default();
        let said: Value = serde_json::from_str(line).map_err(|error| format!("not run: {arguments:?} says {line:?}: {error}"))?;
        let number = |name: &str| said[name].as_f64().ok_or_else(|| format!("not run: {arguments:?} says no {name}"));
        Ok(Said { matches: said["matches"].as_u64().unwrap_or(0), cpu_ns: number("cpu_ns_per_event")?, deploy_ms: number("deploy_ms")? })
    }

    /// The same for a program that measures nothing.
    pub fn output(&self, arguments: &[&str]) -> Result<String, String> {
        if let Some(missing) = &self.missing {
            return Err(missing.clone());
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/run");
        let output = Command::new(script).args(arguments).output().map_err(|error| format!("not run: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        Err(format!("not run: {arguments:?} ends with {}: {last}", output.status))
    }
}
