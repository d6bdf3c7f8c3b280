//! What is written out: literals, durations, whole numbers.

use crate::event::TimeSpan;
use crate::language::ast::{Expression, ExpressionKind};
use crate::language::codes::Code;
use crate::language::parse::cursor::{Failed, Parse, Parser};
use crate::language::parse::fault::Fault;
use crate::language::parse::literals::{misspelt_unit, unit};
use crate::language::parse::misspelt::small_letters;
use crate::language::parse::token::{TokenKind, TokenState};
use crate::language::span::Spanned;

impl Parser<'_> {
    /// A text, number, truth, null or duration.
    pub(super) fn scalar(&mut self, role: &str) -> Parse<ExpressionKind> {
        let kind = match &self.peek().kind {
            TokenKind::Text(text) => ExpressionKind::Text(text.clone()),
            TokenKind::Number(number) => ExpressionKind::Number((*number).to_owned()),
            TokenKind::Duration(_) => return Ok(ExpressionKind::Duration(self.duration(role)?.node)),
            TokenKind::Word("true") => ExpressionKind::Bool(true),
            TokenKind::Word("false") => ExpressionKind::Bool(false),
            TokenKind::Word("null") => ExpressionKind::Null,
            _ => return Err(self.unexpected(role)),
        };
        self.advance();
        Ok(kind)
    }

    /// ```ebnf
    /// literal = [ "-" ] number | text | "true" | "false" | "null" | duration | "[" [ literal { "," literal } [ "," ] ] "]" ;
    /// ```
    pub(super) fn literal(&mut self, role: &str) -> Parse<Expression> {
        let start = self.peek().span;
        if self.at("[") {
            self.open("[", "`[`")?;
            let items = self.literals_until_bracket()?;
            return Ok(Expression { span: self.since(start), kind: ExpressionKind::List(items) });
        }
        if let Some(sign) = self.eat("-") {
            let number = self.peek();
            if !matches!(number.kind, TokenKind::Number(_)) {
                return Err(self.unexpected("a number after `-`"));
            }
            let operand = Expression { kind: self.scalar(role)?, span: number.span };
            return Ok(Expression { span: sign.to(number.span), kind: ExpressionKind::Negate(Box::new(operand)) });
        }
        if let TokenKind::Word(word) = self.peek().kind
            && !["true", "false", "null"].contains(&word)
            && self.peek().state == TokenState::Sound
        {
            self.could_be(&["true", "false", "null"]);
            let quoted = format!("a text stands in double quotes: `\"{}\"`", self.shown(self.peek()));
            let misspelt = self.misspelt_word();
            // Otherwise it may as well be a text without its quotes.
            let certain = misspelt.filter(|(_, meant)| word.eq_ignore_ascii_case(meant));
            let help = match misspelt {
                Some((_, meant)) if certain.is_some() => small_letters(meant),
                Some((_, meant)) => format!("did you mean `{meant}`? If not, {quoted}"),
                None => quoted,
            };
            let message = format!("expected {role}, found {}", self.found());
            let fault = Fault::broken(Code::NotLiteral, message).label("only what is written out can stand here").help(help);
            return Err(self.add_misspelt(fault.at(start), certain));
        }
        Ok(Expression { kind: self.scalar(role)?, span: start })
    }

    /// The literals of a list whose bracket is open.
    pub(super) fn literals_until_bracket(&mut self) -> Parse<Vec<Expression>> {
        let mut items = Vec::new();
        while !self.at("]") {
            items.push(self.literal("a literal")?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("]", "`,` or `]`")?;
        Ok(items)
    }

    // Numbers and durations in their own right.

    /// A duration above zero; `role` says what it is for.
    pub(super) fn duration(&mut self, role: &str) -> Parse<Spanned<TimeSpan>> {
        let duration = self.offset(role)?;
        if duration.node == TimeSpan::ZERO {
            let fault = Fault::broken(Code::BadDuration, "a duration is above zero").label("no time at all").help("write at least `1us`");
            self.report(fault, duration.span);
        }
        Ok(duration)
    }

    /// A duration, perhaps of nothing: how long after the start of a test.
    pub(super) fn offset(&mut self, role: &str) -> Parse<Spanned<TimeSpan>> {
        match self.peek().kind {
            TokenKind::Duration(node) => Ok(Spanned { node, span: self.advance() }),
            TokenKind::Number(number) if self.peek().state == TokenState::Sound => Err(self.duration_without_unit(number)),
            _ => Err(self.unexpected(role)),
        }
    }

    /// `5`, or `5 minutes`.
    fn duration_without_unit(&mut self, number: &str) -> Failed {
        let start = self.advance();
        let fault = Fault::broken(Code::BadDuration, "a duration needs a unit").label("of what?");
        let TokenKind::Word(word) = self.peek().kind else { return self.report(fault.help(units_of(number)), start) };
        let Some(unit) = unit(word).or_else(|| misspelt_unit(word)) else { return self.report(fault.help(units_of(number)), start) };
        let fault = Fault::broken(Code::BadDuration, "a duration is one word").label("number and unit stand together");
        let end = self.advance();
        self.report(fault.help(format!("write `{number}{unit}`")), start.to(end))
    }

    pub(super) fn whole_number(&mut self, role: &str) -> Parse<u64> {
        let token = self.peek();
        let TokenKind::Number(number) = token.kind else { return Err(self.unexpected(role)) };
        let number = match number.parse() {
            Ok(number) => number,
            Err(_) if token.state != TokenState::Sound => return Err(self.unexpected(role)),
            Err(_) => {
                let fault = Fault::broken(Code::BadNumber, "a whole number is meant here")
                    .label(if number.contains('.') { "not whole".to_owned() } else { format!("larger than {}", u64::MAX) })
                    .help(format!("write {role}"));
                return Err(self.report(fault, token.span));
            }
        };
        self.advance();
        Ok(number)
    }
}

fn units_of(number: &str) -> String {
    format!("write `{number}s`, `{number}m` or the like; units are us, ms, s, m, h, d")
}
