//! Processes of one deployment, each as if on a machine of its own: its own configuration, state folder and slot. They share brokers, and the folder of the checkpoints.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::broker::{LIMIT, copy, kept_failures, unique};
use crate::kafka::torture::workload::{Form, Made, PARTITIONS, STREAMS, patterns};
use crate::workplace::Workplace;

/// How many lines of its log are shown of a process that is in trouble.
const LOG_LINES: usize = 30;

pub struct Fleet {
    pub work: Workplace,
    pub group: String,
    /// By stream, as in [`STREAMS`].
    pub inputs: [String; 2],
    pub matches: String,
    pub late: String,
    pub rejected: String,
    form: Form,
    processes: Vec<Process>,
    /// What processes said that ended by themselves.
    pub failures: Vec<String>,
}

struct Process {
    child: Option<Child>,
    /// Is to run; one that has ended then is started again, as a supervisor does.
    wanted: bool,
}

impl Fleet {
    /// Makes the topics, and starts nothing yet.
    pub fn new(address: &str, form: Form, processes: usize) -> Self {
        let group = unique("torture");
        let topic = |name: &str| format!("{group}.{name}");
        let fleet = Self {
            work: Workplace::new(),
            inputs: STREAMS.map(topic),
            matches: topic("matches"),
            late: topic("late"),
            rejected: topic("rejected"),
            group,
            form,
            processes: (0..processes).map(|_| Process { child: None, wanted: false }).collect(),
            failures: Vec::new(),
        };
        fleet.work.write("patterns.motif", patterns(form));
        (0..processes).for_each(|slot| fleet.configure(slot, address));
        let made = fleet.work.run(&format!("topics --config {} --create --partitions {PARTITIONS}", config(0)));
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        fleet
    }

    fn configure(&self, slot: usize, address: &str) {
        let Self { group, inputs: [clicks, orders], matches, late, rejected, form, .. } = self;
        let key = if *form == Form::Rekeyed { "key = [\"user\"]\n" } else { "" };
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"patterns.motif\"]\nstate = \"state-{slot}\"\nepoch_ms = 50\ndurability = \"process\"\n\
             [streams.clicks]\ntopic = \"{clicks}\"\n{key}[streams.orders]\ntopic = \"{orders}\"\n{key}\
             [output]\ntopic = \"{matches}\"\nlate_topic = \"{late}\"\nrejected_topic = \"{rejected}\"\n\
             [checkpoints]\nurl = \"checkpoints\"\ninterval_ms = 3000\n\
             [kafka]\nbrokers = \"{address}\"\n\
             [kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n\"max.poll.interval.ms\" = \"10000\"\n\"transaction.timeout.ms\" = \"4000\"\n\"client.id\" = \"slot-{slot}\"\n"
        );
        self.work.write(&config(slot), text);
    }

    /// Before it starts.
    pub fn reconfigure(&self, slot: usize, from: &str, to: &str) {
        let text = self.work.text(&config(slot));
        assert!(text.contains(from), "{text}");
        self.work.write(&config(slot), text.replace(from, to));
    }

    pub fn start(&mut self, slot: usize) {
        self.processes[slot].wanted = true;
        self.spawn(slot, "");
    }

    /// One that ends with what the topics hold now, and with all others.
    pub fn start_to_end(&mut self, slot: usize) {
        self.spawn(slot, "--until-end");
    }

    /// Where each epoch is written down.
    pub fn journal(&self) -> String {
        format!("{}.journal", self.group)
    }

    fn spawn(&mut self, slot: usize, more: &str) {
        let log = File::options().create(true).append(true).open(self.work.path(log(slot))).expect("a log");
        let mut command = self.work.motif(&format!("run --config {} --slot {slot} --log info {more}", config(slot)));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("motif starts");
        self.processes[slot].child = Some(child);
    }

    pub fn kill(&mut self, slot: usize) {
        self.processes[slot].wanted = false;
        if let Some(mut child) = self.processes[slot].child.take() {
            child.kill().expect("a child");
            child.wait().expect("a child");
        }
    }

    /// It must obey, and end well.
    pub fn terminate(&mut self, slot: usize) {
        if let Some(status) = self.tell_to_end(slot) {
            assert!(status.success(), "slot {slot} ended with {status}:\n{}", self.log_end(slot));
        }
    }

    /// It must obey. `None`: it does not run.
    pub fn tell_to_end(&mut self, slot: usize) -> Option<ExitStatus> {
        self.processes[slot].wanted = false;
        self.processes[slot].child.as_ref()?;
        self.signal(slot, "TERM");
        Some(self.await_end(slot))
    }

    pub fn signal(&self, slot: usize, name: &str) {
        let Some(child) = &self.processes[slot].child else { return };
        // Whether it is still there does not matter: it may have ended by itself meanwhile.
        Command::new("kill").args(["-s", name, &child.id().to_string()]).stderr(Stdio::null()).status().expect("kill runs");
    }

    fn await_end(&mut self, slot: usize) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            let child = self.processes[slot].child.as_mut().expect("started");
            if let Some(status) = child.try_wait().expect("a child") {
                self.processes[slot].child = None;
                return status;
            }
            assert!(Instant::now() < deadline, "slot {slot} does not end:\n{}", self.log_ends());
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// Starts again what has ended by itself, and notes it.
    pub fn tend(&mut self) {
        for slot in 0..self.processes.len() {
            let process = &mut self.processes[slot];
            let Some(status) = process.child.as_mut().and_then(|child| child.try_wait().expect("a child")) else { continue };
            process.child = None;
            if process.wanted {
                self.failures.push(format!("slot {slot} ended with {status}: {}", last_line(&self.log_end(slot))));
                self.spawn(slot, "");
            }
        }
    }

    /// Stops all, then runs them to the end of what the topics hold: all windows are closed.
    pub fn run_to_end(&mut self) {
        let slots = 0..self.processes.len();
        slots.clone().for_each(|slot| self.terminate(slot));
        slots.clone().for_each(|slot| self.spawn(slot, "--until-end"));
        for slot in slots {
            let status = self.await_end(slot);
            assert!(status.success(), "slot {slot} does not come to the end: {status}\n{}", self.log_end(slot));
        }
    }

    /// What `motif verify` says of the topics.
    pub fn verify(&self) -> String {
        let verified = self.work.run(&format!("verify --config {}", config(0)));
        format!("{}{}", verified.out(), verified.stderr)
    }

    /// `motif verify` comes to the same, from the topics alone.
    pub fn assert_verified(&self, events: &[Made], matches: usize, late: usize, rejected: usize) {
        let verified = self.work.run(&format!("verify --config {} --format json", config(0)));
        assert_eq!(verified.code, Some(0), "{}{}", verified.out(), verified.stderr);
        let counts: serde_json::Value = serde_json::from_str(verified.out().lines().last().expect("counts")).expect("JSON");
        assert_eq!(counts["epochs"], counts["recomputed"], "{counts}");
        for (name, number) in [("records", events.len()), ("matches", matches), ("late", late), ("rejected", rejected)] {
            assert_eq!(counts[name], number, "{name}: {counts}");
        }
    }

    pub fn log(&self, slot: usize) -> String {
        self.work.text(&log(slot))
    }

    pub fn log_end(&self, slot: usize) -> String {
        let log = self.log(slot);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Of all processes.
    pub fn log_ends(&self) -> String {
        (0..self.processes.len()).map(|slot| format!("--- slot {slot}\n{}\n", self.log_end(slot))).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        (0..self.processes.len()).for_each(|slot| self.kill(slot));
        if let Some(folder) = kept_failures() {
            copy(self.work.path(""), &folder.join(&self.group));
        }
    }
}

fn config(slot: usize) -> String {
    format!("motif-{slot}.toml")
}

fn log(slot: usize) -> String {
    format!("log-{slot}")
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}
