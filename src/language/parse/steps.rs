//! The steps of `match`: sequences, groups, quantifiers.

use crate::language::ast::{Connective, Count, How, Inside, Quantifier, Sequence, Step, StepKind};
use crate::language::codes::Code;
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::fault::Fault;
use crate::language::parse::pattern::LATER_CLAUSE_WORDS;
use crate::language::parse::token::{TokenKind, is_reserved};
use crate::language::span::{Span, Spanned};

const STEP_NAME: &str = "the name of a step, as in `a: S`";

impl Parser<'_> {
    /// Never fails: goes on at the next `then`.
    ///
    /// ```ebnf
    /// match = "match" sequence ;
    /// sequence = step { connective step | "then" [ "next" ] absence } ;
    /// ```
    pub(super) fn sequence(&mut self) -> Sequence {
        let start = self.peek().span;
        let mut steps = Vec::new();
        let mut first = true;
        loop {
            let place = self.place();
            match self.sequence_step(std::mem::take(&mut first)) {
                Ok(step) => steps.push(step),
                Err(Failed) => self.skip(place, |parser| parser.at_any_word(&["then"]) || parser.at_any(&["|"]) || parser.at_clause()),
            }
            if !self.at_sequence_end() && !self.at_word("then") {
                self.unexpected_after_step();
                self.skip(place, |parser| parser.at_word("then") || parser.at_any(&["|"]) || parser.at_clause());
            }
            if !self.at_word("then") {
                return Sequence { span: self.since(start), steps };
            }
        }
    }

    fn at_sequence_end(&self) -> bool {
        self.at_any(&["|", ")", ",", "}"]) || self.at_clause() || self.at_item()
    }

    fn unexpected_after_step(&mut self) {
        let help = if self.at_any(&["{", "?", "+", "*"]) {
            Some("how often a step may come stands after its name: `a{2}: S`".to_owned())
        } else if self.at_any_word(&["for"]) {
            Some("`for` belongs to a step with `not`: `then not n: S for 5m`".to_owned())
        } else if self.at(":") {
            Some("write `==` to compare; before a step stands `then`".to_owned())
        } else if self.at_any(&["[", "("]) && matches!(self.previous().kind, TokenKind::Word(_)) {
            Some("a condition stands behind `where`: `a: S where amount > 5`".to_owned())
        } else if self.is_condition_ahead() {
            Some("write `where` before the condition".to_owned())
        } else {
            None
        };
        self.could_be(&["then"]);
        self.could_be(LATER_CLAUSE_WORDS);
        self.unexpected_but("an operator, `then` or a clause", help);
    }

    /// `amount > 5` where a step has ended.
    fn is_condition_ahead(&self) -> bool {
        let begins = matches!(self.peek().kind, TokenKind::Word(word) if !is_reserved(word)) || matches!(self.peek().kind, TokenKind::Quoted(_));
        begins
            && match self.ahead(1).kind {
                TokenKind::Sign(sign) => ["==", "!=", "<", "<=", ">", ">="].contains(&sign),
                TokenKind::Word(word) => ["in", "is"].contains(&word),
                _ => false,
            }
    }

    fn sequence_step(&mut self, first: bool) -> Parse<Step> {
        let start = self.peek().span;
        if !first {
            let connective = self.connective()?;
            let what = if self.one_of(&["not"]).is_some() { self.absence(&connective)? } else { self.step()? };
            return Ok(Step { span: self.since(start), connective: Some(connective), what });
        }
        const BEFORE: (&str, &str) = ("the first step has nothing before it", "write it after a `then`");
        let wrong = match self.word() {
            Some("then") => Some(("`then` stands between steps", "leave it out before the first one")),
            Some("within") if matches!(self.ahead(1).kind, TokenKind::Duration(_)) && self.ahead(3).kind == TokenKind::Sign(":") => Some(BEFORE),
            Some("not") => Some(("the first step cannot be absent", "what must not have come before is a condition: `count(S over 30s) == 0`")),
            Some("next" | "any") if !self.next_is(":") => Some(BEFORE),
            _ => None,
        };
        if let Some((message, help)) = wrong {
            let fault = Fault::broken(Code::StepStart, message).label("a pattern, group or branch begins here").help(help);
            let failed = self.report(fault, start);
            if self.advance_to_step() {
                return Err(failed);
            }
        }
        let what = self.step()?;
        Ok(Step { span: self.since(start), connective: None, what })
    }

    /// After what cannot begin a sequence: over it, if a step follows. Whether none does.
    fn advance_to_step(&mut self) -> bool {
        while self.at_any_word(&["then", "next", "any", "not", "within"]) {
            if self.eat_word("within").is_none() || matches!(self.peek().kind, TokenKind::Duration(_)) {
                self.advance();
            }
        }
        !matches!(self.peek().kind, TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Sign("("))
    }

    fn next_is(&self, sign: &'static str) -> bool {
        self.ahead(1).kind == TokenKind::Sign(sign)
    }

    /// ```ebnf
    /// connective = "then" [ "next" | "any" ] [ "within" duration ] ;
    /// ```
    fn connective(&mut self) -> Parse<Connective> {
        let start = self.expect_word("then", "`then`")?;
        let how = match self.one_of(&["next", "any"]) {
            Some("next") if !self.next_is(":") => How::Next,
            Some("any") if !self.next_is(":") => How::Any,
            _ => How::Then,
        };
        if how != How::Then {
            self.advance();
        }
        let mut within = None;
        if self.one_of(&["within"]).is_some() && !self.next_is(":") {
            self.advance();
            within = Some(self.duration("a duration, as in `then within 30s b: S`")?);
        }
        if self.at_any_word(&["then", "next", "any", "within"]) && !self.next_is(":") {
            let fault = Fault::broken(Code::WordOrder, format!("{} cannot stand here", self.found()))
                .label("too many words, or in another order")
                .help("the order is `then`, then `next` or `any`, then `within D`, each at most once");
            return Err(self.report(fault, self.peek().span));
        }
        Ok(Connective { span: self.since(start), how, within })
    }

    /// ```ebnf
    /// step = event | group | all ;
    /// ```
    fn step(&mut self) -> Parse<StepKind> {
        if self.at("(") {
            self.group()
        } else if self.one_of(&["all"]).is_some() && !self.next_is(":") {
            self.all()
        } else {
            self.event()
        }
    }

    /// ```ebnf
    /// event = name [ quantifier ] ":" events [ "until" expression ] ;
    /// ```
    fn event(&mut self) -> Parse<StepKind> {
        let name = self.name(Words::Reserved, STEP_NAME)?;
        let quantifier = self.quantifier()?;
        self.expect(":", "`:` after the name of the step, as in `a: S`")?;
        let events = self.events("a stream, or something defined from one")?;
        let until = if self.eat_word("until").is_some() { Some(self.expression()?) } else { None };
        Ok(StepKind::Event { name, quantifier, events, until })
    }

    /// ```ebnf
    /// absence = "not" name ":" events [ "for" duration ] ;
    /// ```
    fn absence(&mut self, connective: &Connective) -> Parse<StepKind> {
        let not = self.advance();
        if connective.how == How::Any || connective.within.is_some() {
            let fault = Fault::broken(Code::WordOrder, "before `not` stands `then` or `then next` only")
                .label("absent, but not by these words")
                .help("how long nothing may come is said at the end: `then not n: S for 5m`");
            return Err(self.report(fault, connective.span.to(not)));
        }
        let name = self.name(Words::Reserved, "a name for what must not come, as in `then not n: S`")?;
        if let Some(quantifier) = self.quantifier()? {
            let fault = Fault::broken(Code::BadQuantifier, "what must not come has no number").label("not on a step with `not`").help("leave it out");
            self.report(fault, quantifier.span);
        }
        self.expect(":", "`:` after the name, as in `then not n: S`")?;
        let events = self.events("a stream, or something defined from one")?;
        let hold = if self.eat_word("for").is_some() { Some(self.duration("a duration, as in `for 5m`")?) } else { None };
        Ok(StepKind::Not { name, events, hold })
    }

    /// ```ebnf
    /// group = "(" sequence { "|" sequence } ")" [ quantifier ] ;
    /// ```
    fn group(&mut self) -> Parse<StepKind> {
        self.open("(", "`(`")?;
        let mut branches = vec![self.sequence()];
        while self.eat("|").is_some() {
            branches.push(self.sequence());
        }
        let help = self.at_word("within").then(|| "`within` on a group is not in the language yet; `then within D` bounds the way to one step".to_owned());
        if !self.at(")") && help.is_some() {
            return Err(self.unexpected_but("`then`, `|` or `)`", help));
        }
        self.close(")", "`then`, `|` or `)`")?;
        Ok(StepKind::Group { branches, quantifier: self.quantifier()? })
    }

    /// ```ebnf
    /// all = "all" "(" step { "," step } ")" [ quantifier ] ;
    /// ```
    fn all(&mut self) -> Parse<StepKind> {
        self.advance();
        self.open("(", "`(` and the steps, as in `all ( a: S, b: S )`")?;
        let mut steps = Vec::new();
        loop {
            let start = self.peek().span;
            let what = self.step()?;
            steps.push(Step { span: self.since(start), connective: None, what });
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close(")", "`,` or `)`")?;
        Ok(StepKind::All { steps, quantifier: self.quantifier()? })
    }

    /// ```ebnf
    /// quantifier = [ count ] [ "greedy" ] [ "consecutive" | "combinations" ] [ "each" "within" duration ] ;
    /// ```
    fn quantifier(&mut self) -> Parse<Option<Quantifier>> {
        let start = self.peek().span;
        let before = self.place();
        let (count, optional) = self.count()?;
        let mut quantifier = Quantifier { span: start, count, optional, greedy: None, inside: None, each_within: None };
        let mut rank = 0;
        loop {
            let span = self.peek().span;
            let here = match self.one_of(&["greedy", "consecutive", "combinations", "each"]) {
                Some("greedy") => 1,
                Some("consecutive" | "combinations") => 2,
                Some("each") => 3,
                _ => break,
            };
            if here <= rank {
                self.report_word_order(span);
            }
            rank = rank.max(here);
            match here {
                1 => quantifier.greedy = Some(self.advance()),
                2 => quantifier.inside = Some(self.inside()),
                _ => {
                    self.advance();
                    self.expect_word("within", "`within`, as in `each within 30s`")?;
                    quantifier.each_within = Some(self.duration("a duration, as in `each within 30s`")?);
                }
            }
        }
        quantifier.span = self.since(start);
        Ok((self.place() > before).then_some(quantifier))
    }

    fn report_word_order(&mut self, span: Span) {
        let fault = Fault::broken(Code::WordOrder, format!("{} cannot stand here", self.found()))
            .label("twice, or in another order")
            .help("the order is `greedy`, then `consecutive` or `combinations`, then `each within D`, each at most once");
        self.report(fault, span);
    }

    fn inside(&mut self) -> Spanned<Inside> {
        let node = if self.at_word("consecutive") { Inside::Consecutive } else { Inside::Combinations };
        Spanned { node, span: self.advance() }
    }

    /// ```ebnf
    /// count = "?" | "+" | "*" | "{" whole [ "," [ whole ] ] "}" [ "?" ] ;
    /// ```
    fn count(&mut self) -> Parse<(Count, bool)> {
        let start = self.peek().span;
        let sign = match self.peek().kind {
            TokenKind::Sign("?") => Some(Count::Optional),
            TokenKind::Sign("+") => Some(Count::Plus),
            TokenKind::Sign("*") => Some(Count::Star),
            TokenKind::Sign("{") => None,
            _ => return Ok((Count::Unsaid, false)),
        };
        let (count, optional) = match sign {
            Some(count) => {
                self.advance();
                (count, false)
            }
            None => (self.braces()?, self.eat("?").is_some()),
        };
        if self.at_any(&["?", "+", "*", "{"]) {
            while self.at_any(&["?", "+", "*"]) {
                self.advance();
            }
            let fault = Fault::broken(Code::BadQuantifier, "one sign too many after the name")
                .label("how often is said twice")
                .help("`x*` is any number, `x{2,4}?` two to four or none; loops are not greedy unless the word `greedy` follows");
            return Err(self.report(fault, self.since(start)));
        }
        Ok((count, optional))
    }

    fn braces(&mut self) -> Parse<Count> {
        let start = self.open("{", "`{`")?;
        if self.at(",") {
            let fault = Fault::broken(Code::BadQuantifier, "the least number is missing")
                .label("no number before the comma")
                .help("write `{1,n}`, or `{1,n}?` if it may be left out");
            return Err(self.report(fault, self.since(start)));
        }
        let least = self.repetitions()?;
        if let Some(most) = self.most_of_foreign_range() {
            let fault = Fault::broken(Code::BadQuantifier, "least and most stand with a comma between")
                .label("written otherwise here")
                .help(format!("write `{{{least},{most}}}`"));
            return Err(self.report(fault, self.since(start)));
        }
        let count = if self.eat(",").is_none() {
            Count::Exactly(least)
        } else if self.at("}") {
            Count::AtLeast(least)
        } else {
            Count::Between(least, self.repetitions()?)
        };
        self.close("}", "`,` or `}` after the number")?;
        let wrong = match count {
            Count::Exactly(0) | Count::Between(0, 0) => Some(("a step that never comes", "a step that must not come is written `then not n: S`")),
            Count::Between(least, most) if least > most => Some(("at least more than at most", "write the smaller number first")),
            _ => None,
        };
        if let Some((message, help)) = wrong {
            let fault = Fault::broken(Code::BadQuantifier, message).label("means nothing").help(help);
            self.report(fault, self.since(start));
        }
        Ok(count)
    }

    /// `2..4`, `2-4`, `2 to 4`: takes it to the bracket that closes it.
    fn most_of_foreign_range(&mut self) -> Option<u64> {
        let between = |kind: &TokenKind<'_>| matches!(kind, TokenKind::Sign("." | "-" | ":") | TokenKind::Word("to"));
        let signs = (0..3).take_while(|place| between(&self.ahead(*place).kind)).count();
        let TokenKind::Number(most) = self.ahead(signs).kind else { return None };
        let most = most.parse().ok()?;
        if signs == 0 || self.ahead(signs + 1).kind != TokenKind::Sign("}") {
            return None;
        }
        (0..=signs).for_each(|_| _ = self.advance());
        self.close("}", "`}`").ok()?;
        Some(most)
    }

    fn repetitions(&mut self) -> Parse<u32> {
        let span = self.peek().span;
        let number = self.whole_number("a number, as in `{3}`, `{2,4}` or `{2,}`")?;
        u32::try_from(number).map_err(|_| {
            let fault =
                Fault::broken(Code::BadNumber, "the number is too large").label(format!("at most {}", u32::MAX)).help("write `{n,}` for no upper bound");
            self.report(fault, span)
        })
    }
}
