//! `motif sample`: made-up event streams in files, or what was found held against what was planted.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::args::SampleArguments;
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{counted, print};
use crate::language::nearest;
use crate::sample::{Comparison, Found, LineFile, PatternComparison, Planted, PlantedKind, Sample, Scenario, Settings};

const PLANTED: &str = "planted.jsonl";
/// Differences that are shown of a pattern, of each kind.
const SHOWN_MAX: usize = 10;
/// Lines between two words on how far it is.
const PROGRESS_LINES: u64 = 1 << 18;
/// To the beginning of the line, and empty it.
const CLEAR: &str = "\r\x1b[K";

pub(super) fn sample(arguments: &SampleArguments) -> anyhow::Result<Outcome> {
    match (arguments.compare.as_deref(), arguments.scenario.as_deref()) {
        (Some([planted, matches]), _) => compare(planted, matches),
        (Some(_), _) => Err(UserFault("--compare takes two files: what was planted, and the matches".to_owned()).into()),
        (None, Some(name)) => generate(scenario(name)?, arguments),
        (None, None) => Err(UserFault(format!("say which scenario: {}", scenarios())).into()),
    }
}

fn scenarios() -> String {
    Scenario::ALL.map(Scenario::name).join(", ")
}

fn scenario(name: &str) -> Result<Scenario, UserFault> {
    Scenario::find(name).ok_or_else(|| {
        let hint = nearest(name, Scenario::ALL.map(Scenario::name)).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        UserFault(format!("there is no scenario `{name}` among {}{hint}", scenarios()))
    })
}

fn generate(scenario: Scenario, arguments: &SampleArguments) -> anyhow::Result<Outcome> {
    let settings = Settings { events: arguments.events, keys: arguments.keys, seed: arguments.seed };
    let sample = Sample::new(scenario, settings).map_err(|fault| UserFault(fault.to_string()))?;
    let mut files = Files::create(scenario, &arguments.out)?;
    let shows_progress = std::io::stderr().is_terminal();
    for (number, line) in (1_u64..).zip(sample) {
        files.write(line.file, &line.text)?;
        if shows_progress && number.is_multiple_of(PROGRESS_LINES) {
            drop(write!(std::io::stderr(), "{CLEAR}{number} lines"));
        }
    }
    let summary = files.finish()?;
    say(&format!("{}{summary}", if shows_progress { CLEAR } else { "" }));
    Ok(Outcome::Fine)
}

/// The files of a sample: one for each stream, and what was planted.
struct Files {
    /// By stream: where it is, and its events.
    streams: Vec<(PathBuf, BufWriter<File>, u64)>,
    planted: (PathBuf, BufWriter<File>),
    matches: u64,
    timeouts: u64,
    near_misses: u64,
}

impl Files {
    /// Replaces the files of an earlier sample, and no others.
    fn create(scenario: Scenario, folder: &Path) -> anyhow::Result<Self> {
        if folder.exists() && !folder.is_dir() {
            bail!("{}: is not a folder", folder.display());
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let planted = folder.join(PLANTED);
        let streams: Vec<PathBuf> = scenario.streams().map(|name| folder.join(format!("{name}.jsonl"))).collect();
        if let Some(stream) = streams.iter().find(|path| path.exists() && !planted.exists()) {
            bail!("{} is there already, and no {PLANTED} beside it that would make it a sample; take another --out", stream.display());
        }
        let create = |path: PathBuf| {
            let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok((path, BufWriter::new(file)))
        };
        let planted = create(planted)?;
        let streams = streams.into_iter().map(|path| create(path).map(|(path, file)| (path, file, 0)));
        Ok(Self { streams: streams.collect::<anyhow::Result<_>>()?, planted, matches: 0, timeouts: 0, near_misses: 0 })
    }

    fn write(&mut self, of: LineFile, line: &str) -> anyhow::Result<()> {
        let (path, file, count) = match of {
            LineFile::Stream(stream) => {
                let (path, file, events) = &mut self.streams[stream];
                (path, file, events)
            }
            LineFile::Planted(kind) => {
                let count = match kind {
                    PlantedKind::Match => &mut self.matches,
                    PlantedKind::Timeout => &mut self.timeouts,
                    PlantedKind::NearMiss => &mut self.near_misses,
                };
                (&mut self.planted.0, &mut self.planted.1, count)
            }
        };
        *count += 1;
        file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).with_context(|| path.display().to_string())
    }

    /// Everything is in the files; what it is, in a sentence.
    fn finish(mut self) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        for (path, file, events) in &mut self.streams {
            file.flush().with_context(|| path.display().to_string())?;
            parts.push(format!("{}: {}", path.display(), counted(*events, "event", "events")));
        }
        let (path, file) = &mut self.planted;
        file.flush().with_context(|| path.display().to_string())?;
        let matches = counted(self.matches, "match", "matches");
        let timeouts = counted(self.timeouts, "timeout", "timeouts");
        let near_misses = counted(self.near_misses, "near miss", "near misses");
        parts.push(format!("{}: {matches}, {timeouts}, {near_misses}", path.display()));
        Ok(parts.join("; "))
    }
}

fn compare(planted: &Path, matches: &Path) -> anyhow::Result<Outcome> {
    let planted = read(planted, Planted::read)?;
    let found = read(matches, Found::read)?;
    let comparison = Comparison::new(planted, found);
    print(&shown(&comparison))?;
    if comparison.agrees() {
        return Ok(Outcome::Fine);
    }
    let patterns = comparison.patterns.values();
    let (missing, unexpected) = patterns.fold((0, 0), |(missing, unexpected), of| (missing + of.missing.len(), unexpected + of.unexpected.len()));
    say(&format!("what was found is not what was planted: {missing} missing, {unexpected} unexpected"));
    Ok(Outcome::Wrong)
}

fn read<T>(path: &Path, read: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Vec<T>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("{}:{number}", path.display()))?;
        all.push(read(&line).map_err(|fault| UserFault(format!("{}:{number}: {fault}", path.display())))?);
    }
    Ok(all)
}

/// A table, and below it what differs.
fn shown(comparison: &Comparison) -> String {
    let width = comparison.patterns.keys().map(|name| name.chars().count()).max().unwrap_or(0).max("pattern".len());
    let mut out = format!("{:<width$} {:>9} {:>9} {:>9} {:>11} {:>12}\n", "pattern", "planted", "found", "missing", "unexpected", "near misses");
    for (name, of) in &comparison.patterns {
        let PatternComparison { planted, near_misses, found, missing, unexpected } = of;
        let (missing, unexpected) = (missing.len(), unexpected.len());
        out += &format!("{name:<width$} {planted:>9} {found:>9} {missing:>9} {unexpected:>11} {near_misses:>12}\n");
    }
    for of in comparison.patterns.values() {
        let missing = of.missing.iter().map(shown_missing);
        out += &first_of("missing", missing);
        let unexpected = of.unexpected.iter().map(|unexpected| {
            let near_miss = unexpected.near_miss.as_ref().map(|(case, why)| format!("; near miss {case}: {why}")).unwrap_or_default();
            let Found { pattern, kind, key, at, events } = &unexpected.found;
            format!("{} of {pattern} {key} at {at}, events {}{near_miss}", kind.word(), events.join(" "))
        });
        out += &first_of("unexpected", unexpected);
    }
    out
}

fn shown_missing(planted: &Planted) -> String {
    let Planted { case, pattern, key, kind, at, why, events, .. } = planted;
    let key = serde_json::Value::from(key.clone());
    format!("{} of {pattern} {key} at {}, events {}; case {case}: {why}", kind.word(), at.as_deref().unwrap_or("any time"), events.join(" "))
}

fn first_of(what: &str, lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(SHOWN_MAX);
    let mut out: String = lines.take(SHOWN_MAX).map(|line| format!("{what}: {line}\n")).collect();
    if more > 0 {
        out += &format!("{what}: … and {more} more\n");
    }
    out
}
