//! `motif dlq`: late events and rejected records, counted, shown, or sent to their inputs again.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::cli::args::{DlqAction, DlqArguments, Format};
use crate::cli::deployment::load;
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{counted, print};
use crate::config::Config;
use crate::ports::OwnedHeader;
use crate::service::upkeep::{DeadLetter, LetterPlace, Replayed, Selection, replay_letters, visit_letters};

/// Characters that are shown of a value.
const SHOWN_CHARS: usize = 200;

pub(super) fn dlq(arguments: &DlqArguments) -> anyhow::Result<Outcome> {
    let Some(loaded) = load(&arguments.config, arguments.format)? else { return Ok(Outcome::Wrong) };
    let config = loaded.config;
    if config.kafka.as_ref().is_some_and(|kafka| kafka.late_topic.is_none() && kafka.rejected_topic.is_none()) {
        return Err(UserFault("the configuration has neither output.late_topic nor output.rejected_topic: such records are only counted".to_owned()).into());
    }
    let selection = selection(arguments)?;
    match arguments.action {
        DlqAction::List => list(&config, &selection, arguments.format)?,
        DlqAction::Show => show(&config, &selection, arguments)?,
        DlqAction::Replay => replay(&config, &selection, arguments)?,
    }
    Ok(Outcome::Fine)
}

fn selection(arguments: &DlqArguments) -> Result<Selection, UserFault> {
    let place = |text: &String| {
        let wrong = || UserFault(format!("--at {text}: write TOPIC/PARTITION:OFFSET, as `motif dlq show` does"));
        LetterPlace::parse(text).ok_or_else(wrong)
    };
    let places = arguments.at.iter().map(place).collect::<Result<_, _>>()?;
    let selection = Selection { codes: arguments.code.clone(), topics: arguments.topic.clone(), places };
    if arguments.action == DlqAction::Replay && selection.is_all() && !arguments.all {
        return Err(UserFault("say which letters to replay, with --code, --topic or --at, or --all".to_owned()));
    }
    Ok(selection)
}

#[derive(Default, Serialize)]
struct Group {
    letters: u64,
    replayed: u64,
    first: String,
    last: String,
}

fn list(config: &Config, selection: &Selection, format: Format) -> anyhow::Result<()> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    visit_letters(config, selection, &mut |letter| {
        let group = groups.entry((letter.code, letter.topic)).or_default();
        let place = letter.place.to_string();
        group.letters += 1;
        group.replayed += u64::from(letter.was_replayed);
        if group.first.is_empty() {
            group.first.clone_from(&place);
        }
        group.last = place;
        Ok(true)
    })?;
    let mut text = String::new();
    if format == Format::Text {
        text += &format!("{:18}  {:>8}  {:>8}  {:24}  FIRST, LAST\n", "CODE", "LETTERS", "REPLAYED", "FROM TOPIC");
    }
    for ((code, topic), Group { letters, replayed, first, last }) in &groups {
        text += &match format {
            Format::Text => format!("{code:18}  {letters:>8}  {replayed:>8}  {topic:24}  {first}, {last}\n"),
            Format::Json => json!({"code": code, "topic": topic, "letters": letters, "replayed": replayed, "first": first, "last": last}).to_string() + "\n",
        };
    }
    print(&text)?;
    let (letters, replayed) = groups.values().fold((0, 0), |(letters, replayed), group| (letters + group.letters, replayed + group.replayed));
    say(&format!("{}, {replayed} of them replayed", counted(letters, "dead letter", "dead letters")));
    Ok(())
}

fn show(config: &Config, selection: &Selection, arguments: &DlqArguments) -> anyhow::Result<()> {
    let (mut shown, mut more) = (0, false);
    visit_letters(config, selection, &mut |letter| {
        more = shown == arguments.limit;
        if !more {
            print(&match arguments.format {
                Format::Text => as_text(&letter),
                Format::Json => as_json(&letter) + "\n",
            })?;
            shown += 1;
        }
        Ok(!more)
    })?;
    if more {
        say(&format!("there are more than {}; --limit shows more", arguments.limit));
    }
    Ok(())
}

fn as_text(letter: &DeadLetter) -> String {
    let DeadLetter { place, code, reason, topic, partition, offset, time, key, headers, .. } = letter;
    let time = time.map(|time| format!(" of {time}")).unwrap_or_default();
    let replayed = if letter.was_replayed { ", replayed" } else { "" };
    let key = key.as_deref().map_or("none".to_owned(), preview);
    let value = letter.value.as_deref().map_or("none".to_owned(), preview);
    let cut = |bytes: Option<u64>| bytes.map(|bytes| format!(" (of {bytes} bytes only the beginning is here)")).unwrap_or_default();
    let is_value_cut = |bytes: &u64| letter.value.as_ref().is_some_and(|value| *bytes > value.len() as u64);
    let (value_cut, key_cut) = (cut(letter.cut.filter(is_value_cut)), cut(letter.key_cut));
    let headers_cut = letter.headers_cut.map(|count| format!("  (of {count} headers only these are here)\n")).unwrap_or_default();
    let header = |(name, value): &OwnedHeader| format!("  header {}: {}\n", preview(name.as_bytes()), value.as_deref().map_or("none".to_owned(), preview));
    let headers: String = headers.iter().map(header).collect();
    format!(
        "{place}  {code}{replayed}, from {topic}/{partition}:{offset}{time}\n  {reason}\n  key: {key}{key_cut}\n  value: {value}{value_cut}\n{headers}{headers_cut}"
    )
}

fn as_json(letter: &DeadLetter) -> String {
    let headers: Vec<_> = letter.headers.iter().map(|(name, value)| json!([name, value.as_deref().map(preview)])).collect();
    json!({
        "at": letter.place.to_string(), "code": letter.code, "reason": letter.reason, "stream": letter.stream, "topic": letter.topic,
        "partition": letter.partition, "offset": letter.offset, "time": letter.time.map(|time| time.to_string()),
        "key": letter.key.as_deref().map(String::from_utf8_lossy), "value": letter.value.as_deref().map(preview), "headers": headers,
        "bytes": letter.cut.or(letter.value.as_ref().map(|value| value.len() as u64)), "cut": letter.cut.is_some(), "replayed": letter.was_replayed,
    })
    .to_string()
}

/// The beginning, on one line; what is no text is shown as U+FFFD.
fn preview(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(SHOWN_CHARS).flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() { shown + "…" } else { shown }
}

fn replay(config: &Config, selection: &Selection, arguments: &DlqArguments) -> anyhow::Result<()> {
    let (mut now, mut before, mut cut, mut late) = (0, 0, 0, 0);
    replay_letters(config, selection, &mut |letter, replayed| {
        let what = match replayed {
            Replayed::Now => {
                now += 1;
                late += u64::from(letter.code == "late");
                "replayed"
            }
            Replayed::Before => {
                before += 1;
                "replayed_before"
            }
            Replayed::CutOff => {
                cut += 1;
                "cut_off"
            }
        };
        let DeadLetter { place, topic, partition, .. } = letter;
        print(&match (arguments.format, replayed) {
            (Format::Json, _) => json!({"at": place.to_string(), "to": format!("{topic}/{partition}"), "outcome": what}).to_string() + "\n",
            (Format::Text, Replayed::Now) => format!("{place} to {topic}/{partition}\n"),
            (Format::Text, Replayed::Before) => format!("{place}: was replayed before\n"),
            (Format::Text, Replayed::CutOff) => format!("{place}: only a part of it is kept; produce it again from where it came\n"),
        })?;
        Ok(())
    })?;
    let mut parts = vec![format!("{} replayed", counted(now, "dead letter", "dead letters"))];
    if before > 0 {
        parts.push(format!("{before} had been replayed before"));
    }
    if cut > 0 {
        parts.push(format!("{cut} cut off and not replayed"));
    }
    if late > 0 {
        parts.push(format!("{late} of them late events, which are too late still unless the lateness was raised since"));
    }
    say(&parts.join(", "));
    Ok(())
}
