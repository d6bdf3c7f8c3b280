//! `motif subscribe`: matches from a running service to standard output.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tonic::Code;

use crate::cli::args::{Format, SubscribeArguments, to_std};
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{format_or_default, print};
use crate::codec::readable_match;
use crate::grpc::v1::Match;
use crate::grpc::{Subscription, SubscriptionStart, subscribe as follow};
use crate::language::nearest;

pub(super) fn subscribe(arguments: SubscribeArguments) -> anyhow::Result<Outcome> {
    let format = format_or_default(arguments.format);
    let subscription = Subscription {
        address: arguments.address,
        patterns: arguments.pattern,
        key: arguments.key.iter().map(|part| key_part(part)).collect::<Result<_, _>>()?,
        start: start(&arguments.from)?,
        matches_max: arguments.limit,
        retry_for: to_std(arguments.retry),
    };
    let mut last_token = None;
    let mut written = Ok(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let following = follow(subscription, |matches, token| {
            let line = |found: &Match| match format {
                Format::Json => format!("{}\n", found.json),
                Format::Text => readable_match(found.json.as_bytes()) + "\n",
            };
            written = print(&matches.iter().map(line).collect::<String>());
            last_token = Some(token.to_owned());
            written.is_ok()
        });
        let mut terminate = signal(SignalKind::terminate())?;
        let ended = tokio::select! {
            ended = following => Some(ended),
            _ = tokio::signal::ctrl_c() => None,
            _ = terminate.recv() => None,
        };
        anyhow::Ok(ended)
    })?;
    runtime.shutdown_timeout(Duration::from_millis(100));
    written?;
    let connected = last_token.is_some();
    if let Some(token) = last_token {
        say(&format!("to go on after these: --from {token}"));
    }
    match ended {
        None | Some(Ok(())) => Ok(Outcome::Fine),
        // The service has ended; all of its matches that there are have come.
        Some(Err(status)) if status.code() == Code::Unavailable && connected && arguments.limit.is_none() => {
            say(status.message());
            Ok(Outcome::Fine)
        }
        Some(Err(status)) => match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::NotFound => Err(UserFault(status.message().to_owned()).into()),
            _ => Err(anyhow::anyhow!("{}", status.message())),
        },
    }
}

fn start(text: &str) -> Result<SubscriptionStart, UserFault> {
    match text {
        "latest" => Ok(SubscriptionStart::Latest),
        "earliest" => Ok(SubscriptionStart::Earliest),
        token => match nearest(token, ["latest", "earliest"]) {
            Some(near) => Err(UserFault(format!("--from {token}: did you mean `{near}`?"))),
            None => Ok(SubscriptionStart::Token(token.to_owned())),
        },
    }
}

fn key_part(text: &str) -> Result<(String, String), UserFault> {
    let (name, value) = text.split_once('=').ok_or_else(|| UserFault(format!("--key {text}: write NAME=VALUE, for example card_id=4711")))?;
    Ok((name.to_owned(), value.to_owned()))
}
