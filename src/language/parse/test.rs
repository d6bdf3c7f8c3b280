//! A `test` block, and the lines that tests and tables share.

use crate::language::ast::{Expected, Name, RecordLiteral, RecordValue, Test, TestLine, TestLineKind};
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::token::{TokenKind, is_reserved};
use crate::language::span::Spanned;

/// What a test or table begins with.
pub(super) struct Head {
    pub(super) name: Spanned<String>,
    pub(super) pattern: Name,
    pub(super) from: Option<Spanned<String>>,
}

/// Whether the name of a column may stand for a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Written,
    OrColumns,
}

impl Parser<'_> {
    /// ```ebnf
    /// test = "test" text "of" free_name [ "from" text ] "{" { line } "}" ;
    /// ```
    pub(super) fn test(&mut self) -> Parse<Test> {
        let start = self.advance();
        let Head { name, pattern, from } = self.test_head("test")?;
        let mut lines = Vec::new();
        while !self.at_block_end() {
            let place = self.place();
            match self.line() {
                Ok(line) => lines.push(line),
                Err(Failed) => {
                    if self.place() == place {
                        self.advance();
                    }
                    self.skip(place, Self::at_line);
                }
            }
        }
        self.close_block("}")?;
        Ok(Test { span: self.since(start), name, pattern, from, lines })
    }

    /// From the name to the brace before the lines.
    pub(super) fn test_head(&mut self, what: &str) -> Parse<Head> {
        let name = self.text("what is tested, a text in double quotes")?;
        self.expect_word("of", "`of` and the name of the pattern")?;
        let pattern = self.name(Words::Free, "the name of the pattern")?;
        let from = if self.eat_word("from").is_some() { Some(self.text("a time, as in `from \"2026-01-31T08:00:00Z\"`")?) } else { None };
        self.open("{", &format!("`{{` before the lines of the {what}"))?;
        Ok(Head { name, pattern, from })
    }

    pub(super) fn text(&mut self, role: &str) -> Parse<Spanned<String>> {
        let TokenKind::Text(node) = &self.peek().kind else { return Err(self.unexpected(role)) };
        Ok(Spanned { node: node.clone(), span: self.advance() })
    }

    /// Whether a line begins here: a duration is no such beginning where it is a value.
    fn at_line(&self) -> bool {
        match self.peek().kind {
            TokenKind::Word("expect") => self.ahead(1).kind != TokenKind::Sign(":"),
            TokenKind::Duration(_) => {
                let is_value = matches!(self.previous().kind, TokenKind::Sign(":" | "," | "[" | "-") | TokenKind::Word("at"));
                !is_value
            }
            _ => false,
        }
    }

    /// ```ebnf
    /// line = arrival | expect ;
    /// arrival = duration ( free_name record | "watermark" free_name ) ;
    /// ```
    fn line(&mut self) -> Parse<TestLine> {
        if self.one_of(&["expect"]).is_some() {
            return self.expect_line();
        }
        let start = self.peek().span;
        let at = self.offset("an event, as in `5s payments { amount: 1 }`, or `expect`")?;
        let kind = match self.arriving(Values::Written)? {
            (stream, Some(fields)) => TestLineKind::Event { at, stream, fields },
            (stream, None) => TestLineKind::Watermark { at, stream },
        };
        Ok(TestLine { span: self.since(start), kind })
    }

    /// What follows the time: an event's stream and fields, or the stream whose watermark it is.
    pub(super) fn arriving(&mut self, values: Values) -> Parse<(Name, Option<RecordLiteral>)> {
        if self.one_of(&["watermark"]).is_some() && self.ahead(1).kind != TokenKind::Sign("{") {
            self.advance();
            return Ok((self.name(Words::Free, "the stream whose watermark it is")?, None));
        }
        let stream = self.name(Words::Free, "the stream of the event")?;
        Ok((stream, Some(self.record(values)?)))
    }

    /// A line that begins with `expect`.
    pub(super) fn expect_line(&mut self) -> Parse<TestLine> {
        let start = self.expect_word("expect", "`expect` and what comes out")?;
        let kind = self.expectation()?;
        Ok(TestLine { span: self.since(start), kind })
    }

    /// ```ebnf
    /// expect = "expect" ( "none" | "late" "at" duration | ( "match" | "timeout" ) [ "at" duration ] [ record ] ) ;
    /// ```
    fn expectation(&mut self) -> Parse<TestLineKind> {
        const AT: &str = "a duration, as in `at 60s`";
        if self.eat_word("none").is_some() {
            return Ok(TestLineKind::ExpectNone);
        }
        if self.eat_word("late").is_some() {
            self.expect_word("at", "`at` and the time of the late event")?;
            return Ok(TestLineKind::ExpectLate { at: self.offset(AT)? });
        }
        let what = match self.one_of(&["match", "timeout"]) {
            Some("match") => Expected::Match,
            Some("timeout") => Expected::Timeout,
            _ => {
                let help = self.at_word("nothing").then(|| "write `expect none`".to_owned());
                return Err(self.unexpected_but("`match`, `timeout`, `late` or `none`", help));
            }
        };
        self.advance();
        let at = if self.eat_word("at").is_some() { Some(self.offset(AT)?) } else { None };
        let fields = if self.at("{") { Some(self.record(Values::Written)?) } else { None };
        Ok(TestLineKind::Expect { what, at, fields })
    }

    /// ```ebnf
    /// record = "{" [ entry { "," entry } [ "," ] ] "}" ;
    /// outline = "{" [ slot { "," slot } [ "," ] ] "}" ;
    /// ```
    fn record(&mut self, values: Values) -> Parse<RecordLiteral> {
        let start = self.open("{", "`{` and the fields")?;
        let mut fields = Vec::new();
        while !self.at("}") {
            fields.push(self.entry(values)?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("}", "`,` or `}`")?;
        Ok(RecordLiteral { span: self.since(start), fields })
    }

    /// ```ebnf
    /// entry = free_name ":" value ;
    /// slot = free_name ":" filling ;
    /// ```
    fn entry(&mut self, values: Values) -> Parse<(Name, RecordValue)> {
        let name = self.name(Words::Free, "the name of a field, or `}`")?;
        self.expect(":", "`:` after the name of the field")?;
        Ok((name, self.value(values, "the value of the field")?))
    }

    /// ```ebnf
    /// value = literal | record | "[" [ value { "," value } [ "," ] ] "]" ;
    /// filling = name | literal | outline | "[" [ filling { "," filling } [ "," ] ] "]" ;
    /// ```
    pub(super) fn value(&mut self, values: Values, role: &str) -> Parse<RecordValue> {
        if self.at("{") {
            return Ok(RecordValue::Record(self.record(values)?));
        }
        if values == Values::OrColumns && self.at_column() {
            return Ok(RecordValue::Column(self.name(Words::Reserved, "the name of a column")?));
        }
        if !self.at("[") {
            return Ok(RecordValue::Expression(self.literal(role)?));
        }
        let start = self.open("[", "`[`")?;
        let mut items = Vec::new();
        while !self.at("]") {
            items.push(self.value(values, role)?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("]", "`,` or `]`")?;
        Ok(RecordValue::List(self.since(start), items))
    }

    /// At a name that is no word of the language.
    pub(super) fn at_column(&self) -> bool {
        match self.peek().kind {
            TokenKind::Quoted(_) => true,
            TokenKind::Word(word) => !is_reserved(word) && !self.at_item(),
            _ => false,
        }
    }
}
