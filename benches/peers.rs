//! Other engines, each in a process of its own: `benches/peers/run` builds and starts them.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::cpu_s;

/// How long one may take. The longest, FlinkCEP from Kafka, needs two minutes of processor time: one minute on an idle machine, and many on one that has other work.
const LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

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

    /// Runs one to its end; why it has nothing to say, where that is so, with the last that it wrote to standard error.
    pub fn run(&self, arguments: &[&str]) -> Result<Said, String> {
        if let Some(missing) = &self.missing {
            return Err(missing.clone());
        }
        let text = output(arguments).map_err(|why| format!("not measured: {} {why}", arguments[0]))?;
        let line = text.lines().last().unwrap_or_default();
        let said: Value = serde_json::from_str(line).map_err(|error| format!("not measured: {} says {line:?}: {error}", arguments[0]))?;
        let number = |name: &str| said[name].as_f64().ok_or_else(|| format!("not measured: {} says no {name}", arguments[0]));
        Ok(Said { matches: said["matches"].as_u64().unwrap_or(0), cpu_ns: number("cpu_ns_per_event")?, deploy_ms: number("deploy_ms")? })
    }
}

/// What a program writes to standard output.
fn output(arguments: &[&str]) -> Result<String, String> {
    let (outputs, errors) = (file()?, file()?);
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/run"));
    command.args(arguments).stdin(Stdio::null()).stdout(copy(&outputs)?).stderr(copy(&errors)?);
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if Instant::now() > deadline {
            // Little of it: the machine had other work; much: it does not come to an end.
            let cpu_s = cpu_s(child.id());
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("has not ended after {} s, in which it had {cpu_s:.0} s of processor time", LIMIT.as_secs()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    if status.success() {
        return text(outputs);
    }
    let errors = text(errors)?;
    Err(format!("ends with {status}: {}", errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing")))
}

fn file() -> Result<File, String> {
    tempfile::tempfile().map_err(|error| error.to_string())
}

fn copy(file: &File) -> Result<File, String> {
    file.try_clone().map_err(|error| error.to_string())
}

fn text(mut file: File) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
