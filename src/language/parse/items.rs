//! A file's items, except for patterns, tests and tables.

use crate::language::ast::{Define, EventSet, Field, File, Item, List, Name, Stream, TimeClause, Type, TypeKind};
use crate::language::codes::Code;
use crate::language::parse::brackets::ITEM_WORDS;
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::fault::Fault;
use crate::language::parse::misspelt::Misspelt;
use crate::language::parse::token::TokenKind;

/// Lists of lists in one type, so that its tree is shallow enough for recursion.
const LISTS_MAX: usize = 500;

const TYPE: &str = "a type: bool, int, float, decimal, string, timestamp, duration, `list of T` or `{ field: T }`";

impl Parser<'_> {
    /// ```ebnf
    /// file = { item } ;
    /// item = stream | list | define | pattern | test | table ;
    /// ```
    ///
    /// Adds to `file` from the place at hand on; to the end, or to an item with a misspelt word, before which it stops.
    pub(super) fn file(&mut self, file: &mut File) -> Option<Misspelt> {
        while !self.at_end() {
            let start = self.place();
            let mark = self.mark();
            self.errors_before_item = self.error_count();
            self.declared = None;
            self.silent = false;
            let item = self.item();
            if let Some(misspelt) = self.go_back(start, mark) {
                return Some(misspelt);
            }
            if let Ok(item) = item
                && self.error_count() == self.errors_before_item
                && !self.silent
                && self.all_known(start, self.place())
            {
                file.items.push(item);
                continue;
            }
            file.unread.extend(self.declared.take());
            self.skip(start, Self::at_misspelt_item);
            if self.place() == start {
                self.advance();
            }
        }
        None
    }

    fn item(&mut self) -> Parse<Item> {
        match self.one_of(&ITEM_WORDS) {
            Some("stream") => Ok(Item::Stream(self.stream()?)),
            Some("list") => Ok(Item::List(self.list()?)),
            Some("define") => Ok(Item::Define(self.define()?)),
            Some("pattern") => Ok(Item::Pattern(self.pattern()?)),
            Some("test") => Ok(Item::Test(self.test()?)),
            Some("table") => Ok(Item::Table(self.table()?)),
            _ if self.at_any(&["}", ")", "]"]) => Err(self.closes_nothing()),
            _ => Err(self.unexpected("`stream`, `list`, `define`, `pattern`, `test` or `table`")),
        }
    }

    /// The name that an item declares.
    pub(super) fn declared_name(&mut self, role: &str) -> Parse<Name> {
        let name = self.name(Words::Free, role)?;
        self.declared = Some(name.clone());
        Ok(name)
    }

    /// ```ebnf
    /// stream = "stream" free_name "{" { field | time } "}" ;
    /// ```
    fn stream(&mut self) -> Parse<Stream> {
        let start = self.advance();
        let name = self.declared_name("the name of the stream")?;
        self.open("{", "`{` before the fields of the stream")?;
        let mut stream = Stream { span: start, name, fields: Vec::new(), times: Vec::new() };
        while !self.at_block_end() {
            let place = self.place();
            self.could_be(&["time"]);
            let read = if self.at_word("time") && self.ahead(1).kind != TokenKind::Sign(":") {
                self.time().map(|time| stream.times.push(time))
            } else {
                self.field().map(|field| stream.fields.push(field))
            };
            if let Err(Failed) = read {
                if self.place() == place {
                    self.advance();
                }
                self.skip(place, Self::at_field);
            }
        }
        self.close_block("}")?;
        stream.span = self.since(start);
        Ok(stream)
    }

    /// Whether a field, or the clause `time`, can begin here.
    fn at_field(&self) -> bool {
        let next = &self.ahead(1).kind;
        match self.peek().kind {
            TokenKind::Word("time") if matches!(next, TokenKind::Word(_) | TokenKind::Quoted(_)) => true,
            TokenKind::Word(_) | TokenKind::Quoted(_) => *next == TokenKind::Sign(":"),
            _ => false,
        }
    }

    /// ```ebnf
    /// time = "time" free_name [ "," "late" "after" duration ] [ "," ] ;
    /// ```
    fn time(&mut self) -> Parse<TimeClause> {
        let start = self.advance();
        let field = self.name(Words::Free, "the name of the field that holds the event time")?;
        let mut clause = TimeClause { span: self.since(start), field, late_after: None };
        let comma = self.eat(",").is_some();
        if comma {
            self.could_be(&["late"]);
        }
        if self.at_word("late") && self.ahead(1).kind != TokenKind::Sign(":") {
            if !comma {
                return Err(self.unexpected("`,` before `late after`"));
            }
            self.advance();
            self.expect_word("after", "`after`, as in `late after 5s`")?;
            clause.late_after = Some(self.duration("a duration, as in `late after 5s`")?);
            clause.span = self.since(start);
            self.eat(",");
        }
        Ok(clause)
    }

    /// ```ebnf
    /// field = free_name ":" type [ "?" ] [ "," ] ;
    /// ```
    fn field(&mut self) -> Parse<Field> {
        let name = self.name(Words::Free, "a field, as in `amount: decimal`, or `time` and the field that holds the event time")?;
        self.expect(":", "`:` after the name of the field")?;
        let r#type = self.r#type()?;
        let nullable = self.eat("?").is_some();
        self.eat(",");
        Ok(Field { name, r#type, nullable })
    }

    /// ```ebnf
    /// type = free_name - "list" | "list" "of" type | "{" { field } "}" ;
    /// ```
    fn r#type(&mut self) -> Parse<Type> {
        let start = self.peek().span;
        let kind = if self.at("{") {
            TypeKind::Record(self.record_type()?)
        } else if self.one_of(&["list"]).is_some() {
            let mut lists = 0;
            while self.eat_word("list").is_some() {
                self.expect_word("of", "`of`, as in `list of string`")?;
                lists += 1;
                if lists > LISTS_MAX {
                    let fault = Fault::broken(Code::TooDeep, format!("more than {LISTS_MAX} lists inside one another"))
                        .label("one too many")
                        .help("declare a list of records, whose fields are lists");
                    return Err(self.report(fault, self.previous().span));
                }
            }
            let mut inner = if self.at("{") { self.r#type()? } else { self.named_type()? };
            for _ in 1..lists {
                inner = Type { span: inner.span, kind: TypeKind::List(Box::new(inner)) };
            }
            TypeKind::List(Box::new(inner))
        } else {
            // `of` may be the name of the next field.
            let is_list = self.ahead(1).kind == TokenKind::Word("of") && self.ahead(2).kind != TokenKind::Sign(":");
            if is_list && self.misspelt_word().is_some() {
                return Err(self.unexpected(TYPE));
            }
            return self.named_type();
        };
        Ok(Type { span: self.since(start), kind })
    }

    fn named_type(&mut self) -> Parse<Type> {
        let name = self.name(Words::Free, TYPE)?;
        Ok(Type { span: name.span, kind: TypeKind::Named(name.node) })
    }

    fn record_type(&mut self) -> Parse<Vec<Field>> {
        self.open("{", "`{`")?;
        let mut fields = Vec::new();
        while !self.at("}") && !self.at_item() {
            fields.push(self.field()?);
        }
        self.close("}", "a field, or `}` after the last")?;
        Ok(fields)
    }

    /// ```ebnf
    /// list = "list" free_name "=" "[" [ literal { "," literal } [ "," ] ] "]" ;
    /// ```
    fn list(&mut self) -> Parse<List> {
        let start = self.advance();
        let name = self.declared_name("the name of the list")?;
        self.expect("=", "`=` after the name of the list")?;
        self.open("[", "`[` before the values of the list")?;
        let items = self.literals_until_bracket()?;
        Ok(List { span: self.since(start), name, items })
    }

    /// ```ebnf
    /// define = "define" free_name "=" events ;
    /// ```
    fn define(&mut self) -> Parse<Define> {
        let start = self.advance();
        let name = self.declared_name("the name of what is defined")?;
        self.expect("=", "`=` after the name")?;
        let events = self.events("a stream, or something defined from one")?;
        if !self.at_end() && self.one_of(&ITEM_WORDS).is_none() {
            return Err(self.unexpected(if events.condition.is_some() { "an operator or the next item" } else { "`where` or the next item" }));
        }
        Ok(Define { span: self.since(start), name, events })
    }

    /// ```ebnf
    /// events = name [ "where" expression ] ;
    /// ```
    pub(super) fn events(&mut self, role: &str) -> Parse<EventSet> {
        let stream = self.name(Words::Reserved, role)?;
        let condition = if self.eat_word("where").is_some() { Some(self.expression()?) } else { None };
        Ok(EventSet { stream, condition })
    }
}
