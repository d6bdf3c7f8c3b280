//! A `table`: what arrives in every case, and the cases.

use crate::language::ast::{Case, Cell, Expression, ExpressionKind, Name, RecordValue, Table, TableLine, When};
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::test::{Head, Values};
use crate::language::parse::token::TokenKind;
use crate::language::span::Spanned;

impl Parser<'_> {
    /// ```ebnf
    /// table = "table" text "of" free_name [ "from" text ] "{" columns { table_line } case { case } "}" ;
    /// ```
    pub(super) fn table(&mut self) -> Parse<Table> {
        let start = self.advance();
        let Head { name, pattern, from } = self.test_head("table")?;
        let columns_span = self.peek().span;
        let columns = self.columns()?;
        let (mut lines, mut cases) = (Vec::new(), Vec::new());
        while !self.at_block_end() {
            let place = self.place();
            self.could_be(&["case"]);
            let read = if self.at_case() {
                self.case().map(|case| cases.push(case))
            } else if cases.is_empty() {
                self.table_line().map(|line| lines.push(line))
            } else {
                self.could_be(&["expect"]);
                Err(self.unexpected("`expect`, another `case`, or `}`"))
            };
            if let Err(Failed) = read {
                if self.place() == place {
                    self.advance();
                }
                self.skip(place, Self::at_case);
            }
        }
        if cases.is_empty() && self.error_count() == self.errors_before_item {
            return Err(self.unexpected("a case, as in `case \"too late\": 10m expect none`"));
        }
        self.close_block("}")?;
        Ok(Table { span: self.since(start), name, pattern, from, columns_span, columns, lines, cases })
    }

    /// ```ebnf
    /// columns = "columns" name { "," name } ;
    /// ```
    fn columns(&mut self) -> Parse<Vec<Name>> {
        const ROLE: &str = "the name of a column";
        self.expect_word("columns", "`columns` and the names of what differs from case to case")?;
        let mut columns = vec![self.name(Words::Reserved, ROLE)?];
        while self.eat(",").is_some() {
            columns.push(self.name(Words::Reserved, ROLE)?);
        }
        Ok(columns)
    }

    fn at_case(&self) -> bool {
        self.at_word("case") && matches!(self.ahead(1).kind, TokenKind::Text(_))
    }

    /// ```ebnf
    /// table_line = ( duration | ( name - "stream" ) - "pattern" ) ( free_name outline | "watermark" free_name ) ;
    /// ```
    fn table_line(&mut self) -> Parse<TableLine> {
        let start = self.peek().span;
        // Those two could begin an item.
        let at = if self.at_column() && !self.at_any_word(&["stream", "pattern"]) {
            When::Column(self.name(Words::Reserved, "a column")?)
        } else {
            When::Said(self.offset("an event, as in `5s payments { amount: 1 }`, or a case, as in `case \"too late\": 10m expect none`")?)
        };
        let (stream, fields) = self.arriving(Values::OrColumns)?;
        Ok(TableLine { span: self.since(start), at, stream, fields })
    }

    /// ```ebnf
    /// case = "case" text ":" cell { "," cell } expect { expect } ;
    /// ```
    fn case(&mut self) -> Parse<Case> {
        let start = self.advance();
        let name = self.text("the name of the case")?;
        self.expect(":", "`:` after the name of the case")?;
        let mut cells = vec![self.cell()?];
        while self.eat(",").is_some() {
            cells.push(self.cell()?);
        }
        let mut expected = Vec::new();
        while expected.is_empty() || self.at_word("expect") {
            if self.one_of(&["expect"]).is_none() {
                return Err(self.unexpected("`,` and the value of the next column, or `expect`"));
            }
            expected.push(self.expect_line()?);
        }
        Ok(Case { span: self.since(start), name, cells, expected })
    }

    /// ```ebnf
    /// cell = duration | value | "none" ;
    /// ```
    fn cell(&mut self) -> Parse<Cell> {
        if let Some(span) = self.eat_word("none") {
            return Ok(Cell::None(span));
        }
        if matches!(self.peek().kind, TokenKind::Duration(_)) {
            // It may be the time of a line, and 0s.
            let Spanned { node, span } = self.offset("a duration")?;
            return Ok(Cell::Value(RecordValue::Expression(Expression { span, kind: ExpressionKind::Duration(node) })));
        }
        Ok(Cell::Value(self.value(Values::Written, "the value of a column, or `none`")?))
    }
}
