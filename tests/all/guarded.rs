//! What servers that tests start have in common: they are gone with the process however that ends, and a test that cannot have one says so.
#![allow(dead_code, unreachable_pub, reason = "more than one binary includes it, and none uses all of it")]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that waits for the end of its standard input, which the test process holds open; then it kills the process whose number stands in the folder's `pid`, removes the
/// folder, and runs what else there is to do. So neither a failed test, nor a panic, nor a kill of the tests leaves a server behind.
///
/// `then` is a line of shell; `arguments` are its.
pub fn guard(folder: &Path, then: &str, arguments: &[String]) -> Child {
    Command::new("bash")
        .args(["-c", &format!("cat >/dev/null; kill -9 \"$(cat \"$0/pid\")\"; sleep 0.2; rm -rf \"$0\"; {then}")])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("bash runs")
}

/// The test at hand cannot run without what is `missing`. It says so loudly; under CI that is a failure.
pub fn skipped(missing: &str, needs: &str) {
    assert!(std::env::var("CI").is_err(), "no {missing}: tests that need {needs} cannot run");
    let test = std::thread::current();
    let line = format!("SKIPPED, NO {}: {} needs {needs}\n", missing.to_uppercase(), test.name().unwrap_or("a test"));
    // Not captured, unlike what the printing macros write.
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}
