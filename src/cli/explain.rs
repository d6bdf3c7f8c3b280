//! `motif explain`: what a pattern does, in words, as its automaton, or as a diagram; or what a finding's code means.

use std::path::Path;
use std::sync::Arc;

use crate::automaton::{Automaton, DiagramFormat, Evaluation};
use crate::cli::args::{ExplainArguments, View};
use crate::cli::exit::{Outcome, UserFault};
use crate::cli::text::{print, say_diagnostics};
use crate::config;
use crate::engine::Compiled;
use crate::event::Schema;
use crate::language::{Code, nearest, page};
use crate::pattern::Pattern;
use crate::service::program;
use crate::service::upkeep::costs_of_partitioning;

pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<Outcome> {
    let codes: Option<Vec<&str>> = arguments.patterns.iter().map(|path| code_like(path)).collect();
    if let Some(codes) = codes.filter(|codes| !codes.is_empty()) {
        return explain_codes(&codes, arguments);
    }
    let config = arguments.config.as_deref().map(config::load).transpose()?;
    let named = Some(&arguments.patterns).filter(|patterns| !patterns.is_empty());
    let loaded = program::load(named.or(config.as_ref().map(|config| &config.patterns)).expect("one of both is there"))?;
    say_diagnostics(&loaded.compiled.diagnostics, &loaded.sources);
    if loaded.compiled.has_errors() {
        return Ok(Outcome::Wrong);
    }
    let program = &loaded.compiled.program;
    if let Some(wanted) = &arguments.pattern
        && !program.patterns.iter().any(|pattern| pattern.name == *wanted)
    {
        let hint = nearest(wanted, program.patterns.iter().map(|pattern| pattern.name.as_str()));
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(UserFault(format!("no pattern `{wanted}` in these files{hint}")).into());
    }
    let compiled = Compiled::new(program);
    let config = config.filter(|config| config.kafka.is_some());
    let costs = config.map(|config| costs_of_partitioning(program, &config));
    for pattern in &program.patterns {
        if arguments.pattern.as_ref().is_none_or(|wanted| *wanted == pattern.name) {
            let on_kafka = costs.as_ref().map(|costs| on_kafka(costs.get(&pattern.name)));
            print(&shown(pattern, &compiled, &program.schema, arguments.view, on_kafka.as_deref()))?;
        }
    }
    Ok(Outcome::Fine)
}

fn on_kafka(cost: Option<&String>) -> String {
    match cost {
        None => "where its events are read: each task has all events of its keys".to_owned(),
        Some(cost) => format!("where the topics have several partitions: {cost}"),
    }
}

fn shown(pattern: &Arc<Pattern>, compiled: &Compiled, schema: &Schema, view: View, on_kafka: Option<&str>) -> String {
    let automaton = || Automaton::compile(pattern.clone());
    match view {
        View::Words => {
            let automaton = automaton();
            let evaluated = Evaluation::of(&automaton).words(&automaton, schema);
            let on_kafka = on_kafka.map(|text| format!("  On Kafka   {text}\n")).unwrap_or_default();
            format!("{}  Evaluated  {evaluated}{}\n{on_kafka}\n", pattern.words(schema), family(&compiled.stepped_with(pattern.version)))
        }
        View::Dump => format!("pattern {}\n{}\n", pattern.name, automaton().dump(schema)),
        View::Graphviz => automaton().diagram(schema, DiagramFormat::Graphviz),
        View::Mermaid => automaton().diagram(schema, DiagramFormat::Mermaid),
    }
}

/// Whom it is evaluated with.
fn family(others: &[&str]) -> String {
    const NAMED_MAX: usize = 3;
    let named: Vec<String> = others.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    match others.len() {
        0 => String::new(),
        count => {
            let more = if count > NAMED_MAX { ", …" } else { "" };
            let with = if count == 1 { "one other pattern" } else { &format!("{count} other patterns") };
            format!("; at once with {with} ({}{more}): they differ only in how much is asked of the first event", named.join(", "))
        }
    }
}

/// What looks like a code, and is no file.
fn code_like(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let digits = text.strip_prefix(['E', 'e', 'W', 'w'])?;
    let is_code = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_code && !path.exists()).then_some(text)
}

fn explain_codes(codes: &[&str], arguments: &ExplainArguments) -> anyhow::Result<Outcome> {
    let known: Result<Vec<Code>, UserFault> = codes.iter().map(|text| Code::parse(text).ok_or_else(|| unknown(text))).collect();
    let known = known?;
    if arguments.pattern.is_some() || arguments.view != View::Words {
        return Err(UserFault(format!("--pattern and --as are about patterns, and {} is a code", known[0])).into());
    }
    let pages: Vec<String> = known.into_iter().map(|code| readable(page(code))).collect();
    print(&pages.join("\n"))?;
    Ok(Outcome::Fine)
}

fn unknown(text: &str) -> UserFault {
    let hint = nearest(text, Code::ALL.iter().map(|code| code.text())).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    UserFault(format!("no code {text}, and no such file{hint}"))
}

/// Columns of a page's text.
const COLUMNS: usize = 100;

/// A page without its marks, in lines that can be read: examples stand to the right, below what they are.
fn readable(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(mark) => {
                inside = !inside;
                text.push_str(match mark {
                    "motif wrong" => "Wrong:\n\n",
                    "motif" => "Right:\n\n",
                    _ => "",
                });
            }
            None if inside && !line.is_empty() => text.extend(["    ", line, "\n"]),
            None => wrap(line.strip_prefix("# ").unwrap_or(line), &mut text),
        }
    }
    text
}

/// In lines of whole words.
fn wrap(paragraph: &str, text: &mut String) {
    let mut column = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > COLUMNS {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}
