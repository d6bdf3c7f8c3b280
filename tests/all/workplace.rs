//! The program as its users meet it: run in a folder of its own, its files beside it, its paths short.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long anything may take. No test is slow because of it: it is for what does not come at all.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A temporary folder. What runs in it sees no `MOTIF_…` of the environment.
pub struct Workplace {
    folder: tempfile::TempDir,
}

/// What a program has said and answered.
#[derive(Debug)]
pub struct Ended {
    /// `None`: ended by a signal.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// A process that is ended with its test.
pub struct Running(Option<Child>);

impl Workplace {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = std::fs::File::options().append(true).open(self.path(name)).expect("a file");
        file.write_all(bytes.as_ref()).expect("written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// The bytes of a file; 0 where it is not there.
    pub fn length(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    /// `motif` with these words, standard input closed.
    pub fn motif(&self, words: &str) -> Command {
        self.motif_with(words.split_whitespace())
    }

    pub fn motif_with<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_motif"));
        command.env_clear().args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `motif` with these words to its end.
    pub fn run(&self, words: &str) -> Ended {
        start(&mut self.motif(words)).end()
    }

    /// The same, with standard input from a pipe that holds these bytes.
    pub fn run_with_input(&self, words: &str, input: &[u8]) -> Ended {
        let mut running = start(self.motif(words).stdin(Stdio::piped()));
        let mut pipe = running.take_stdin();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || {
            // Who ends early reads no more.
            drop(pipe.write_all(&input));
        });
        let ended = running.end();
        writing.join().expect("written or not wanted");
        ended
    }

    /// Runs to the end, which must be a good one; gives what was said.
    pub fn must(&self, words: &str) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(0), "motif {words}\n{}", ended.stderr);
        ended.stderr
    }

    /// Runs to the end, which must have this status, with one sentence about it and nothing on standard output.
    pub fn refusal(&self, words: &str, code: i32) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(code), "motif {words}\n{}", ended.stderr);
        assert!(ended.stdout.is_empty(), "motif {words}\n{}", String::from_utf8_lossy(&ended.stdout));
        let sentence = ended.stderr.strip_prefix("motif: ").unwrap_or_else(|| panic!("not a sentence of motif's: {}", ended.stderr));
        assert_eq!(sentence.trim_end().lines().count(), 1, "one sentence: {sentence}");
        sentence.trim_end().to_owned()
    }
}

impl Ended {
    pub fn out(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("text")
    }
}

pub fn start(command: &mut Command) -> Running {
    Running(Some(command.spawn().expect("motif starts")))
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("not waited for yet")
    }

    pub fn take_stdin(&mut self) -> std::process::ChildStdin {
        self.child().stdin.take().expect("a pipe")
    }

    pub fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child().stdout.take().expect("a pipe")
    }

    pub fn take_stderr(&mut self) -> std::process::ChildStderr {
        self.child().stderr.take().expect("a pipe")
    }

    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("a child").is_some()
    }

    /// Waits until `is_so`; what runs must not end before.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so() {
            if self.has_ended() {
                let ended = self.take();
                panic!("motif ended with {:?} before {what}: {}", ended.code, ended.stderr);
            }
            assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// At once, if it has not ended by itself.
    pub fn kill(&mut self) {
        self.child().kill().expect("a child");
    }

    /// `INT` or `TERM`, while it runs.
    pub fn signal(&mut self, name: &str) {
        signal(self.child().id(), name);
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        self.take()
    }

    fn take(&mut self) -> Ended {
        let child = self.0.take().expect("not waited for yet");
        let id = child.id();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
            signal(id, "KILL");
            panic!("motif does not end within {LIMIT:?}")
        });
        Ended::from(output.expect("a child"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).expect("text") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Gone already, perhaps.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// `TERM`, say, to a process that runs.
pub fn signal(process: u32, name: &str) {
    let killed = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill runs");
    assert!(killed.success(), "kill -s {name} {process}");
}
