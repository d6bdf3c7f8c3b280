//! `--input [NAME=]PATH` to streams and their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::cli::exit::UserFault;
use crate::config::{AtEnd, Origin, StreamConfig};
use crate::language::nearest;
use crate::pattern::Program;

/// Binds each stream that a pattern reads to its input. Errors name what is missing and how to say it.
pub(super) fn bind(inputs: &[String], program: &Program) -> Result<BTreeMap<String, StreamConfig>, UserFault> {
    let read = streams_read(program);
    let mut bound = BTreeMap::new();
    let mut standard_inputs = 0;
    for input in inputs {
        let (name, path) = split(input, &read)?;
        if !program.schema.streams.iter().any(|stream| stream.name == name) {
            let hint = nearest(&name, program.schema.streams.iter().map(|stream| stream.name.as_str()));
            let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            return Err(UserFault(format!("--input {input}: the patterns declare no stream `{name}`{hint}")));
        }
        let origin = if path == "-" {
            standard_inputs += 1;
            Origin::StandardInput
        } else {
            Origin::File { path: PathBuf::from(path), at_end: AtEnd::Finish }
        };
        if bound.insert(name.clone(), StreamConfig::from_origin(origin)).is_some() {
            return Err(UserFault(format!("--input {input}: stream `{name}` has an input already")));
        }
    }
    if standard_inputs > 1 {
        return Err(UserFault("standard input can feed one stream only".to_owned()));
    }
    match read.iter().find(|name| !bound.contains_key(**name)) {
        None => Ok(bound),
        Some(name) if read.len() == 1 => Err(UserFault(format!("stream `{name}` has no input; add --input FILE, or --input - for standard input"))),
        Some(name) => Err(UserFault(format!("stream `{name}` has no input; add --input {name}=FILE"))),
    }
}

fn split(input: &str, read: &BTreeSet<&str>) -> Result<(String, String), UserFault> {
    if let Some((name, path)) = input.split_once('=') {
        return Ok((name.to_owned(), path.to_owned()));
    }
    let mut names = read.iter();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(((*name).to_owned(), input.to_owned())),
        _ => {
            let names: Vec<&str> = read.iter().copied().collect();
            Err(UserFault(format!("--input {input}: the patterns read several streams ({}); write --input NAME={input}", names.join(", "))))
        }
    }
}

fn streams_read(program: &Program) -> BTreeSet<&str> {
    let sources = program.patterns.iter().flat_map(|pattern| &pattern.sources);
    sources.map(|source| program.schema.stream(source.stream).name.as_str()).collect()
}
