//! A pattern's clauses.

use crate::language::ast::{Clause, ClauseKind, EmitField, Expression, MetaField, Name, Pattern, Sequence, Skip};
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::habits::RANGE;
use crate::language::parse::token::{TokenKind, is_reserved};
use crate::language::span::{Span, Spanned};
use crate::language::spelling::code;

/// The words that begin a clause.
const CLAUSE_WORDS: [&str; 10] = ["from", "match", "without", "within", "skip", "emit", "on", "suppress", "limit", "meta"];

/// Those that may stand behind `match`.
pub(super) const LATER_CLAUSE_WORDS: &[&str] = CLAUSE_WORDS.split_at(2).1;

const CLAUSES: &str = "`without`, `within`, `skip`, `emit`, `on timeout`, `suppress`, `limit runs`, `meta`";

/// The clause `from`, with its place.
#[derive(Default)]
struct From {
    span: Span,
    from: Vec<Name>,
    by: Vec<Expression>,
}

/// `from` and `match`, as they are read; both are required.
#[derive(Default)]
struct Begin {
    from: Option<From>,
    body: Option<Sequence>,
    /// It has been said that they stand elsewhere, or not at all.
    misplaced: bool,
}

impl Parser<'_> {
    /// ```ebnf
    /// pattern = "pattern" free_name "{" from match { clause } "}" ;
    /// ```
    pub(super) fn pattern(&mut self) -> Parse<Pattern> {
        let start = self.advance();
        let name = self.declared_name("the name of the pattern")?;
        self.open("{", "`{` before the clauses of the pattern")?;
        let errors = self.error_count();
        let mut begin = Begin::default();
        let mut clauses = Vec::new();
        while !self.at_block_end() {
            let place = self.place();
            if let Err(Failed) = self.begin_or_clause(&mut begin, &mut clauses) {
                if self.place() == place {
                    self.advance();
                }
                self.skip(place, Self::at_clause);
            }
        }
        if (begin.from.is_none() || begin.body.is_none()) && self.error_count() == errors && self.at("}") {
            let expected = if begin.from.is_none() { "from" } else { "match" };
            self.report_misplaced(&mut begin, expected)?;
        }
        self.close_block("}")?;
        match begin {
            Begin { from: Some(From { span: from_span, from, by }), body: Some(body), .. } => {
                Ok(Pattern { span: self.since(start), name, from_span, from, by, body, clauses })
            }
            _ => Err(Failed),
        }
    }

    /// Whether a clause begins here. `within` has other places too.
    pub(super) fn at_clause(&self) -> bool {
        if self.at_word("within") {
            let before = (&self.before_previous().kind, &self.previous().kind);
            return !matches!(before, (TokenKind::Word("then"), TokenKind::Word("next")) | (_, TokenKind::Word("each" | "then" | "any")));
        }
        self.at_any_word(&CLAUSE_WORDS)
    }

    /// Whether a clause and nothing else begins here: not a name that someone forgot to put in back quotes.
    pub(super) fn begins_clause_for_certain(&self) -> bool {
        let next = &self.ahead(1).kind;
        let next_is = |words: &[&str]| matches!(next, TokenKind::Word(word) if words.contains(word));
        match self.word() {
            Some("within" | "suppress") => matches!(next, TokenKind::Duration(_)),
            Some("without") => matches!(next, TokenKind::Word(_) | TokenKind::Quoted(_)) && self.ahead(2).kind == TokenKind::Sign(":"),
            Some("match") => *next == TokenKind::Sign("(") || self.ahead(2).kind == TokenKind::Sign(":"),
            Some("skip") => next_is(&["none", "to", "past"]),
            Some("on") => next_is(&["timeout"]),
            Some("limit") => next_is(&["runs"]),
            Some("meta") => *next == TokenKind::Sign("{"),
            _ => false,
        }
    }

    fn begin_or_clause(&mut self, begin: &mut Begin, clauses: &mut Vec<Clause>) -> Parse<()> {
        let expected = match begin {
            Begin { from: None, .. } => "from",
            Begin { body: None, .. } => "match",
            _ => "",
        };
        if !begin.misplaced && self.one_of(&[expected]).is_none() {
            self.report_misplaced(begin, expected)?;
        }
        match self.word() {
            Some("from") => {
                // Even if it cannot be read it is there.
                begin.from.get_or_insert_default();
                begin.from = Some(self.from()?);
            }
            Some("match") => {
                let start = self.advance();
                let steps = self.sequence();
                begin.body = Some(Sequence { span: start.to(steps.span), ..steps });
            }
            _ => clauses.push(self.clause()?),
        }
        Ok(())
    }

    /// `from`, then `match`, then the others: what else stands here is said once for each pattern, and what is a clause is read as one.
    fn report_misplaced(&mut self, begin: &mut Begin, expected: &str) -> Parse<()> {
        const ORDER: &str = "a pattern begins with `from S by KEY`, then `match a: S`; the other clauses follow in any order";
        let role = match expected {
            "from" => "`from` and the streams of the pattern",
            "match" => "`match` and the steps of the pattern",
            _ if self.at_any_word(&["from", "match"]) => "one of the other clauses",
            _ => return Ok(()),
        };
        begin.misplaced = true;
        let failed = self.unexpected_but(role, Some(ORDER.to_owned()));
        if self.at_clause() { Ok(()) } else { Err(failed) }
    }

    /// ```ebnf
    /// from = "from" name { "," name } [ "by" expression { "," expression } ] ;
    /// ```
    fn from(&mut self) -> Parse<From> {
        let start = self.advance();
        let mut from = vec![self.name(Words::Reserved, "a stream, or something defined from one")?];
        while self.eat(",").is_some() {
            from.push(self.name(Words::Reserved, "another stream")?);
        }
        let mut by = Vec::new();
        if self.eat_word("by").is_some() {
            by = self.expressions()?;
        }
        if !self.at_clause() && !self.at_block_end() {
            self.could_be(&["match"]);
            let help = self.at_word("where").then(|| "narrow the stream by a `define`, or write `where` at a step".to_owned());
            return Err(self.unexpected_but(if by.is_empty() { "`,`, `by` or `match`" } else { "`,` or `match`" }, help));
        }
        Ok(From { span: self.since(start), from, by })
    }

    /// Expressions with commas between.
    fn expressions(&mut self) -> Parse<Vec<Expression>> {
        let mut expressions = vec![self.expression()?];
        while self.eat(",").is_some() {
            expressions.push(self.expression()?);
        }
        Ok(expressions)
    }

    /// ```ebnf
    /// clause = without | within | skip | emit | timeout | suppress | limit | meta ;
    /// within = "within" duration ;
    /// ```
    fn clause(&mut self) -> Parse<Clause> {
        let start = self.peek().span;
        let kind = match self.one_of(LATER_CLAUSE_WORDS) {
            Some("without") => self.without()?,
            Some("within") => {
                self.advance();
                ClauseKind::Within(self.duration("a duration, as in `within 10m`")?)
            }
            Some("skip") => self.skip_clause()?,
            Some("emit") => self.emit()?,
            Some("on") => self.timeout()?,
            Some("suppress") => self.suppress()?,
            Some("limit") => self.limit()?,
            Some("meta") => self.meta()?,
            _ => {
                let help = match self.peek().kind {
                    TokenKind::Sign("|") => Some("branches stand in parentheses: `( a: S | b: S )`"),
                    TokenKind::Sign(",") => Some("between steps write `then`, or `all ( a: S, b: S )` where any order will do"),
                    _ => None,
                };
                let help = help.map(str::to_owned);
                return Err(self.unexpected_but(&format!("a clause ({CLAUSES}) or `}}`"), help));
            }
        };
        let clause = Clause { span: self.since(start), kind };
        if !self.at_clause() && !self.at_block_end() {
            self.could_be(LATER_CLAUSE_WORDS);
            let is_field = matches!(clause.kind, ClauseKind::Emit(_) | ClauseKind::OnTimeout(_)) && matches!(self.previous().kind, TokenKind::Word(_));
            let is_name = matches!(self.peek().kind, TokenKind::Word(word) if !is_reserved(word)) || matches!(self.peek().kind, TokenKind::Quoted(_));
            let help = (is_field && is_name)
                .then(|| format!("a field gets another name by `as`, and a comma stands between fields: {}", code(&format!("as {}", self.shown(self.peek())))));
            return Err(self.unexpected_but("the next clause or `}`", help));
        }
        Ok(clause)
    }

    /// ```ebnf
    /// without = "without" name ":" events [ "between" name "and" name ] ;
    /// ```
    fn without(&mut self) -> Parse<ClauseKind> {
        self.advance();
        let name = self.name(Words::Reserved, "a name for what must not come, as in `without n: S`")?;
        self.expect(":", "`:` after the name, as in `without n: S`")?;
        let events = self.events("a stream, or something defined from one")?;
        let mut between = None;
        if self.eat_word("between").is_some() {
            const FIRST: &str = "the name of a step, as in `between a and b`";
            if matches!(self.peek().kind, TokenKind::Number(_) | TokenKind::Text(_) | TokenKind::Duration(_)) {
                return Err(self.unexpected_but(FIRST, Some(RANGE.to_owned())));
            }
            let first = self.name(Words::Reserved, FIRST)?;
            self.expect_word("and", "`and`, as in `between a and b`")?;
            between = Some((first, self.name(Words::Reserved, "the name of a step, as in `between a and b`")?));
        }
        Ok(ClauseKind::Without { name, events, between })
    }

    /// ```ebnf
    /// skip = "skip" ( "none" | "to" "next" | "past" "last" | "to" ( "first" | "last" ) name ) ;
    /// ```
    fn skip_clause(&mut self) -> Parse<ClauseKind> {
        const STRATEGIES: &str = "`none`, `to next`, `past last`, `to first STEP` or `to last STEP`";
        self.advance();
        if self.eat_word("none").is_some() {
            return Ok(ClauseKind::Skip(Skip::None));
        }
        if self.eat_word("past").is_some() {
            self.expect_word("last", "`last`, as in `skip past last`")?;
            return Ok(ClauseKind::Skip(Skip::PastLast));
        }
        self.expect_word("to", STRATEGIES)?;
        if self.eat_word("next").is_some() {
            return Ok(ClauseKind::Skip(Skip::ToNext));
        }
        if self.eat_word("first").is_some() {
            return Ok(ClauseKind::Skip(Skip::ToFirst(self.name(Words::Reserved, "the name of a step, as in `skip to first a`")?)));
        }
        self.expect_word("last", "`next`, `first STEP` or `last STEP`")?;
        Ok(ClauseKind::Skip(Skip::ToLast(self.name(Words::Reserved, "the name of a step, as in `skip to last a`")?)))
    }

    /// ```ebnf
    /// emit = "emit" emitted { "," emitted } ;
    /// ```
    fn emit(&mut self) -> Parse<ClauseKind> {
        self.advance();
        Ok(ClauseKind::Emit(self.emitted_fields()?))
    }

    fn emitted_fields(&mut self) -> Parse<Vec<EmitField>> {
        let mut fields = vec![self.emitted()?];
        while self.eat(",").is_some() {
            fields.push(self.emitted()?);
        }
        Ok(fields)
    }

    /// ```ebnf
    /// emitted = expression [ "as" name ] ;
    /// ```
    fn emitted(&mut self) -> Parse<EmitField> {
        let value = self.expression()?;
        let name = if self.eat_word("as").is_some() { Some(self.name(Words::Reserved, "a name for the field")?) } else { None };
        Ok(EmitField { value, name })
    }

    /// ```ebnf
    /// timeout = "on" "timeout" "emit" [ emitted { "," emitted } ] ;
    /// ```
    fn timeout(&mut self) -> Parse<ClauseKind> {
        self.advance();
        self.expect_word("timeout", "`timeout`, as in `on timeout emit`")?;
        self.expect_word("emit", "`emit`, as in `on timeout emit`")?;
        self.could_be(LATER_CLAUSE_WORDS);
        let bare = self.at_clause() || self.at_block_end();
        Ok(ClauseKind::OnTimeout(if bare { Vec::new() } else { self.emitted_fields()? }))
    }

    /// ```ebnf
    /// suppress = "suppress" duration "by" expression { "," expression } ;
    /// ```
    fn suppress(&mut self) -> Parse<ClauseKind> {
        self.advance();
        let span = self.duration("a duration, as in `suppress 1h by card_id`")?;
        self.expect_word("by", "`by`, as in `suppress 1h by card_id`")?;
        Ok(ClauseKind::Suppress { span, by: self.expressions()? })
    }

    /// ```ebnf
    /// limit = "limit" "runs" whole ;
    /// ```
    fn limit(&mut self) -> Parse<ClauseKind> {
        self.advance();
        self.expect_word("runs", "`runs`, as in `limit runs 1000`")?;
        let span = self.peek().span;
        let node = self.whole_number("a whole number, as in `limit runs 1000`")?;
        Ok(ClauseKind::LimitRuns(Spanned { node, span }))
    }

    /// ```ebnf
    /// meta = "meta" "{" [ name ":" literal { "," name ":" literal } [ "," ] ] "}" ;
    /// ```
    fn meta(&mut self) -> Parse<ClauseKind> {
        self.advance();
        self.open("{", "`{` before the fields of `meta`")?;
        let mut fields = Vec::new();
        while !self.at("}") && !self.at_item() {
            let name = self.name(Words::Reserved, "the name of a field, as in `meta { owner: \"cards\" }`")?;
            self.expect(":", "`:` after the name of the field")?;
            fields.push(MetaField { name, value: self.literal("a value: a text, a number, a duration, `true`, `false`, `null` or a list of these")? });
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("}", "`,` or `}`")?;
        Ok(ClauseKind::Meta(fields))
    }
}
