//! The outputs of a run: matches, late events, rejected records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{readable_match, write_match};
use crate::config::Config;
use crate::event::Schema;
use crate::file::{Existing, FileSink, StdoutSink};
use crate::pattern::Program;
use crate::ports::{LineSink, SinkError};
use crate::service::shown;
use crate::service::task::Epoch;

pub(super) struct Outputs {
    schema: Arc<Schema>,
    matches: Output,
    late: Option<Output>,
    rejected: Option<Output>,
    readable: bool,
    /// Memory that is used again.
    lines: Vec<u8>,
    /// What was appended since the last commit, where subscribers are to get it then.
    kept: Option<Kept>,
}

/// Pattern and JSON of matches.
#[derive(Default)]
struct Kept {
    matches: Vec<(Arc<str>, Vec<u8>)>,
    bytes: usize,
}

struct Output {
    sink: Box<dyn LineSink>,
    /// The name under which its length is committed; `None` where it cannot be cut.
    path: Option<String>,
}

impl Outputs {
    /// Opens the outputs; those that the state knows are cut to their committed lengths.
    pub(super) fn open(program: &Program, config: &Config, committed: &BTreeMap<String, u64>) -> anyhow::Result<Self> {
        let output = &config.output;
        let open = |path: &Path| Output::open(path, config, committed);
        Ok(Self {
            schema: program.schema.clone(),
            matches: match &output.matches {
                Some(path) => open(path)?,
                None => Output { sink: Box::new(StdoutSink::new()), path: None },
            },
            late: output.late.as_deref().map(open).transpose()?,
            rejected: output.rejected.as_deref().map(open).transpose()?,
            readable: output.readable,
            lines: Vec::new(),
            kept: config.grpc.is_some().then(Kept::default),
        })
    }

    /// Appends what has come out, the whole of an epoch or a part. Cost: encoding its matches.
    pub(super) fn append(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        self.lines.clear();
        for found in &epoch.matches {
            let start = self.lines.len();
            write_match(found, &self.schema, &mut self.lines);
            if let Some(kept) = &mut self.kept {
                kept.bytes += self.lines.len() - start;
                kept.matches.push((found.pattern.name.as_str().into(), self.lines[start..].to_vec()));
            }
            self.lines.push(b'\n');
        }
        if self.readable {
            let text: String = self.lines.split_inclusive(|&byte| byte == b'\n').map(|json| readable_match(json) + "\n").collect();
            self.matches.sink.append(text.as_bytes())?;
        } else {
            self.matches.sink.append(&self.lines)?;
        }
        for (output, lines) in [(&mut self.late, &epoch.late), (&mut self.rejected, &epoch.rejected)] {
            if let Some(output) = output {
                output.sink.append(lines)?;
            }
        }
        Ok(())
    }

    /// Pattern and JSON of each match that was appended since the last call, where subscribers are to get it.
    pub(super) fn take_kept(&mut self) -> Vec<(Arc<str>, Vec<u8>)> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default().matches
    }

    /// What they take, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        for output in [Some(&mut self.matches), self.late.as_mut(), self.rejected.as_mut()].into_iter().flatten() {
            output.sink.sync()?;
        }
        Ok(())
    }

    /// By path: how long each output is that can be cut.
    pub(super) fn lengths(&self) -> BTreeMap<String, u64> {
        let outputs = [Some(&self.matches), self.late.as_ref(), self.rejected.as_ref()];
        outputs.into_iter().flatten().filter_map(|output| Some((output.path.clone()?, output.sink.length()))).collect()
    }
}

impl Output {
    fn open(path: &Path, config: &Config, committed: &BTreeMap<String, u64>) -> anyhow::Result<Self> {
        let lies = true_path(path);
        let known = committed.iter().find(|(known, _)| true_path(Path::new(known)) == lies).map(|(_, &length)| length);
        let existing = match known {
            Some(_) => Existing::Continue,
            // Without a state nothing can be gone on with; a file that is there is refused unless the user says so.
            None if config.output.overwrite => Existing::Overwrite,
            None => Existing::Refuse,
        };
        if let Some(committed) = known.filter(|&length| length > 0 && !path.exists()) {
            // Before it is made.
            return Err(SinkError::Gone { path: shown(path), committed }.into());
        }
        let mut sink = FileSink::open(path, existing)?;
        if let Some(length) = known {
            sink.cut(length)?;
        }
        Ok(Self { sink: Box::new(sink), path: Some(shown(&lies)) })
    }
}

/// Where a file lies or would be made, however its path is spelt: absolute, through no link.
fn true_path(path: &Path) -> PathBuf {
    /// As many links as systems follow.
    const LINKS_MAX: usize = 40;
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..LINKS_MAX {
        if let Ok(there) = path.canonicalize() {
            return there;
        }
        // A link that leads to nothing.
        let Ok(target) = path.read_link() else { break };
        path = path.with_file_name(target);
    }
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}
