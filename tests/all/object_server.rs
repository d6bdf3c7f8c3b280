//! An object store that speaks S3, for the tests: started with the first test that asks, gone with the process however that ends.
//!
//! It is a store as people run it (SeaweedFS): it checks signatures, and knows conditional creation. The tests inside the crate use this file too.
#![allow(dead_code, unreachable_pub, reason = "more than one binary includes it, and none uses all of it")]

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::guarded::{guard, skipped};

/// What the script says where the store cannot be had.
const NOT_TO_BE_HAD: i32 = 3;

const FREEZE_MAX: Duration = Duration::from_secs(20);

pub const BUCKET: &str = "motif";
pub const ACCESS_KEY: &str = "motif-test";
/// May list and get, not put.
pub const READER_KEY: &str = "reads-only";
pub const SECRET_KEY: &str = "not-a-secret";

pub struct ObjectServer {
    /// Where clients reach it.
    pub endpoint: String,
    folder: PathBuf,
    ports: Vec<String>,
    /// Its standard input keeps the store alive.
    _guard: Child,
}

/// The store of this test process. `None`, loudly, where it cannot be had; under CI that is a failure.
pub fn object_server() -> Option<&'static ObjectServer> {
    static SERVER: OnceLock<Option<ObjectServer>> = OnceLock::new();
    let server = SERVER.get_or_init(ObjectServer::start).as_ref();
    if server.is_none() {
        skipped("Python with pip", "an object store");
    }
    server
}

/// A folder in the bucket that no other test uses.
pub fn unique_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl ObjectServer {
    /// One that nobody else uses, to be harmed. `None` as with [`object_server`].
    pub fn own() -> Option<Self> {
        object_server().and_then(|_| Self::start())
    }

    fn start() -> Option<Self> {
        let ports = free_ports();
        let folder = std::env::temp_dir().join(format!("motif-objects-{}-{}", std::process::id(), ports[0]));
        let guard = guard(&folder, "for port; do rm -f /tmp/seaweedfs-*-grpc-$port.sock; done", &ports);
        let server = Self { endpoint: format!("http://127.0.0.1:{}", ports[0]), folder, ports, _guard: guard };
        server.launch().then_some(server)
    }

    /// With what its folder holds, if there is something. `false`: it cannot be had.
    fn launch(&self) -> bool {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/s3/server");
        let started = Command::new("bash").arg(script).arg(&self.folder).args(&self.ports).process_group(0).output().expect("bash runs");
        if started.status.code() == Some(NOT_TO_BE_HAD) {
            return false;
        }
        assert!(started.status.success(), "the object store does not start: {}", String::from_utf8_lossy(&started.stderr));
        true
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.signal("KILL");
    }

    /// Connections are still taken, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("STOP");
        // A thread that runs on another processor goes on until it is told there, and may answer yet.
        let deadline = Instant::now() + FREEZE_MAX;
        while !self.is_frozen() {
            assert!(Instant::now() < deadline, "the object store does not stop");
            std::thread::yield_now();
        }
    }

    fn is_frozen(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a running store");
        // A thread that has gone meanwhile answers nothing either.
        let mut states = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        // After the name, which may hold anything.
        states.all(|state| state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    }

    pub fn unfreeze(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid()]).status().expect("kill runs");
        assert!(sent.success(), "the object store has gone by itself");
    }

    fn pid(&self) -> String {
        std::fs::read_to_string(self.folder.join("pid")).expect("a running store").trim().to_owned()
    }

    /// After [`Self::kill`]: with what it had stored.
    pub fn restart(&self) {
        assert!(self.launch(), "it was there before");
    }
}

/// As many as the store takes, that nobody uses now.
fn free_ports() -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound").port().to_string()).collect()
}
