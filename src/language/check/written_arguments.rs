//! Functions with an argument that must be written out, so that it is read once and its faults are seen before anything runs:
//! regular expressions, networks, time zones.

use std::str::FromStr;

use chrono_tz::Tz;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use crate::event::Type;
use crate::language::ast::{Expression as Ast, ExpressionKind, Name};
use crate::language::check::calls::usage;
use crate::language::check::expression::{Lowering, Typed, bare};
use crate::language::check::kinds::Kind;
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::pattern::Expression;

/// Bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 4 << 20;

impl<'a> Lowering<'_, '_, 'a> {
    pub(super) fn matches(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([text, pattern]) = self.exactly(function, arguments) else { return Typed::unknown(span) };
        let typed = self.argument(function, text, &[Type::String]);
        let regex = self.written_text(function, pattern, "regular expression").and_then(|source| self.regex(source, pattern.span));
        let (Some(typed), Some(regex)) = (typed, regex) else { return Typed::unknown(span) };
        let absent = typed.nullable.then_some(text);
        let expression = Expression::Matches { text: Box::new(typed.expression), regex };
        Typed { false_if_absent: absent, ..Typed::new(expression, Kind::BOOL, false, span) }
    }

    fn regex(&mut self, source: &str, span: Span) -> Option<Regex> {
        let error = match RegexBuilder::new(source).size_limit(REGEX_BYTES_MAX).build() {
            Ok(regex) => return Some(regex),
            Err(error) => error,
        };
        if let regex::Error::CompiledTooBig(_) = error {
            let label = format!("takes more than {} MB", REGEX_BYTES_MAX >> 20);
            let diagnostic = Diagnostic::new(Code::RegexTooLarge, span, "the regular expression is too large", label);
            self.add(diagnostic.help("repeat less: `x{1,1000}` is written out as a thousand `x`; `x+` is not"));
            return None;
        }
        // The reason stands on the last line, below the expression with marks.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        let message = format!("the regular expression cannot be read: {reason}");
        let diagnostic = Diagnostic::new(Code::BadRegex, span, message, "cannot be read");
        let backslash = source.contains('\u{8}');
        let around = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|sign| source.contains(sign));
        self.add(if around {
            diagnostic.help("say it in two conditions: `matches(…) and not matches(…)`")
        } else if backslash {
            diagnostic.help("backslashes are written twice in a text: `\"\\\\d+\"`")
        } else {
            diagnostic.help("a sign that is meant as it stands has two backslashes before it, as in `\"\\\\(\"`")
        });
        None
    }

    pub(super) fn in_network(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let Some([address, network]) = self.exactly(function, arguments) else { return Typed::unknown(span) };
        let typed = self.argument(function, address, &[Type::String]);
        let network = self.written_text(function, network, "network").and_then(|source| self.network(source, network.span));
        let (Some(typed), Some(network)) = (typed, network) else { return Typed::unknown(span) };
        let absent = typed.nullable.then_some(address);
        let expression = Expression::InNetwork { address: Box::new(typed.expression), network };
        Typed { false_if_absent: absent, ..Typed::new(expression, Kind::BOOL, false, span) }
    }

    fn network(&mut self, source: &str, span: Span) -> Option<IpNet> {
        if let Ok(network) = IpNet::from_str(source) {
            return Some(network.trunc());
        }
        let diagnostic = Diagnostic::new(Code::BadNetwork, span, format!("`{source}` is no network"), "not an address and its length");
        self.add(match source.parse::<std::net::IpAddr>() {
            Ok(address) => diagnostic.help(format!("for the one address write `\"{}\"`", IpNet::from(address))),
            Err(_) => diagnostic.help("write an address, `/` and how many bits count: `\"10.0.0.0/8\"`, `\"2001:db8::/32\"`"),
        });
        None
    }

    /// `hour(t)`, `weekday(t)`, each with a zone or in UTC.
    pub(super) fn part_of_time(&mut self, function: &Name, arguments: &'a [Ast], span: Span) -> Typed<'a> {
        let (time, zone) = match arguments {
            [time] => (time, None),
            [time, zone] => (time, Some(zone)),
            _ => {
                self.miscounted(function, arguments, "a time, and a zone if it is not UTC");
                return Typed::unknown(span);
            }
        };
        let typed = self.argument(function, time, &[Type::Timestamp]);
        let zone = match zone {
            None => Some(Tz::UTC),
            Some(zone) => self.written_text(function, zone, "time zone").and_then(|source| self.zone(source, zone.span)),
        };
        let (Some(typed), Some(zone)) = (typed, zone) else { return Typed::unknown(span) };
        let time = Box::new(typed.expression);
        let expression = if function.node == "hour" { Expression::Hour { time, zone } } else { Expression::Weekday { time, zone } };
        Typed::new(expression, Kind::INT, typed.nullable, span)
    }

    fn zone(&mut self, source: &str, span: Span) -> Option<Tz> {
        if let Ok(zone) = Tz::from_str(source) {
            return Some(zone);
        }
        let diagnostic = Diagnostic::new(Code::BadZone, span, format!("`{source}` is no time zone"), "not in the time zone database");
        // Names of zones are texts, and never in back quotes.
        let zones: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        self.add(diagnostic.help_nearest_or_word(self.findings, source, [], &zones, || {
            "zones are named as in `\"Europe/Berlin\"`, `\"America/New_York\"`, `\"UTC\"`".to_owned()
        }));
        None
    }

    /// An argument that is a text, written out.
    fn written_text(&mut self, function: &Name, argument: &'a Ast, what: &str) -> Option<&'a str> {
        if let ExpressionKind::Text(text) = &bare(argument).kind {
            return Some(text);
        }
        let typed = self.lower(argument);
        if !typed.is_unknown() {
            let diagnostic = Diagnostic::new(Code::ArgumentNotLiteral, argument.span, format!("the {what} is written out"), "not a text in quotes");
            self.add(diagnostic.help(format!("write `{}`", usage(&function.node))));
        }
        None
    }
}
