//! A `test` block.

use crate::language::ast::{Expected, Name, RecordLiteral, RecordValue, Test, TestLine, TestLineKind};
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::token::TokenKind;
use crate::language::span::Spanned;

impl Parser<'_> {
    /// ```ebnf
    /// test = "test" text "of" free_name [ "from" text ] "{" { line } "}" ;
    /// ```
    pub(super) fn test(&mut self) -> Parse<Test> {
        let start = self.advance();
        let name = self.text("what is tested, a text in double quotes")?;
        self.expect_word("of", "`of` and the name of the pattern")?;
        let pattern = self.name(Words::Free, "the name of the pattern")?;
        let from = if self.eat_word("from").is_some() { Some(self.text("a time, as in `from \"2026-01-31T08:00:00Z\"`")?) } else { None };
        self.open("{", "`{` before the lines of the test")?;
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

    fn text(&mut self, role: &str) -> Parse<Spanned<String>> {
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
    /// arrival = duration free_name record ;
    /// ```
    fn line(&mut self) -> Parse<TestLine> {
        let start = self.peek().span;
        let kind = if self.eat_word("expect").is_some() {
            self.expectation()?
        } else {
            let at = self.offset("an event, as in `5s payments { amount: 1 }`, or `expect`")?;
            let stream = self.name(Words::Free, "the stream of the event")?;
            TestLineKind::Event { at, stream, fields: self.record()? }
        };
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
        let what = match self.word() {
            Some("match") => Expected::Match,
            Some("timeout") => Expected::Timeout,
            _ => {
                let help = self.at_word("nothing").then(|| "write `expect none`".to_owned());
                return Err(self.unexpected_but("`match`, `timeout`, `late` or `none`", help));
            }
        };
        self.advance();
        let at = if self.eat_word("at").is_some() { Some(self.offset(AT)?) } else { None };
        let fields = if self.at("{") { Some(self.record()?) } else { None };
        Ok(TestLineKind::Expect { what, at, fields })
    }

    /// ```ebnf
    /// record = "{" [ entry { "," entry } [ "," ] ] "}" ;
    /// ```
    fn record(&mut self) -> Parse<RecordLiteral> {
        let start = self.open("{", "`{` and the fields")?;
        let mut fields = Vec::new();
        while !self.at("}") {
            fields.push(self.entry()?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("}", "`,` or `}`")?;
        Ok(RecordLiteral { span: self.since(start), fields })
    }

    /// ```ebnf
    /// entry = free_name ":" value ;
    /// ```
    fn entry(&mut self) -> Parse<(Name, RecordValue)> {
        let name = self.name(Words::Free, "the name of a field, or `}`")?;
        self.expect(":", "`:` after the name of the field")?;
        Ok((name, self.value()?))
    }

    /// ```ebnf
    /// value = literal | record | "[" [ value { "," value } [ "," ] ] "]" ;
    /// ```
    fn value(&mut self) -> Parse<RecordValue> {
        if self.at("{") {
            return Ok(RecordValue::Record(self.record()?));
        }
        if !self.at("[") {
            return Ok(RecordValue::Expression(self.literal("the value of the field")?));
        }
        let start = self.open("[", "`[`")?;
        let mut values = Vec::new();
        while !self.at("]") {
            values.push(self.value()?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("]", "`,` or `]`")?;
        Ok(RecordValue::List(self.since(start), values))
    }
}
