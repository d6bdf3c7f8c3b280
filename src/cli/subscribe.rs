//! `motif subscribe`: matches from a running service to standard output.

use std::time::Duration;

use tonic::Code;

use crate::cli::args::{Format, SubscribeArguments, to_std};
use crate::cli::exit::{Outcome, UserFault, say};
use crate::cli::text::{format_or_default, print};
use crate::codec::readable_match;
use crate::grpc::{Subscription, SubscriptionStart, subscribe as follow};

pub(super) fn subscribe(arguments: SubscribeArguments) -> anyhow::Result<Outcome> {
    let format = format_or_default(arguments.format);
    let subscription = Subscription {
        address: arguments.address,
        patterns: arguments.pattern,
        key: arguments.key.iter().map(|part| key_part(part)).collect::<Result<_, _>>()?,
        start: match arguments.from.as_str() {
            "latest" => SubscriptionStart::Latest,
            "earliest" => SubscriptionStart::Earliest,
            token => SubscriptionStart::Token(token.to_owned()),
        },
        retry_for: to_std(arguments.retry),
    };
    let limit = arguments.limit.unwrap_or(u64::MAX);
    if limit == 0 {
        return Ok(Outcome::Fine);
    }
    let mut taken = 0;
    let mut last_token = None;
    let mut written = Ok(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let following = follow(subscription, |found, token| {
            let line = match format {
                Format::Json => format!("{}\n", found.json),
                Format::Text => readable_match(found.json.as_bytes()) + "\n",
            };
            written = print(&line);
            last_token = Some(token.to_owned());
            taken += 1;
            written.is_ok() && taken < limit
        });
        tokio::select! {
            ended = following => Some(ended),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    written?;
    if let Some(token) = last_token {
        say(&format!("to go on after these: --from {token}"));
    }
    match ended {
        None | Some(Ok(())) => Ok(Outcome::Fine),
        // The service has ended in order and all of its matches are here.
        Some(Err(status)) if status.code() == Code::Unavailable && taken > 0 => {
            say(status.message());
            Ok(Outcome::Fine)
        }
        Some(Err(status)) => match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::NotFound => Err(UserFault(status.message().to_owned()).into()),
            _ => Err(anyhow::anyhow!("{}", status.message())),
        },
    }
}

fn key_part(text: &str) -> Result<(String, String), UserFault> {
    let (name, value) = text.split_once('=').ok_or_else(|| UserFault(format!("--key {text}: write NAME=VALUE, for example card_id=4711")))?;
    Ok((name.to_owned(), value.to_owned()))
}
