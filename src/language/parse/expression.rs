//! Conditions and values.

use crate::language::ast::{Expression, ExpressionKind, Operator, Window};
use crate::language::codes::Code;
use crate::language::diagnostic::Label;
use crate::language::parse::cursor::{Failed, Parse, Parser, Words};
use crate::language::parse::fault::Fault;
use crate::language::parse::misspelt;
use crate::language::parse::token::{TokenKind, TokenState, is_reserved};
use crate::language::span::{Span, Spanned};

/// Operators, field accesses and signs in one expression, so that its tree is shallow enough for recursion.
pub(super) const OPERATORS_MAX: usize = 500;

const COMPARISONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
];

impl Parser<'_> {
    /// A whole expression: the bound on operators counts from here.
    pub(super) fn expression(&mut self) -> Parse<Expression> {
        let outside = std::mem::take(&mut self.operators);
        let expression = self.disjunction();
        self.operators = outside;
        expression
    }

    /// One more operator in the expression at hand.
    pub(super) fn count_operator(&mut self) -> Parse<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let fault = Fault::broken(Code::TooDeep, format!("more than {OPERATORS_MAX} operators in one expression"))
                .label("one too many")
                .help("many values of one field are written `field in [a, b]`; take a part out, into a `define`");
            return Err(self.report(fault, self.previous().span));
        }
        Ok(())
    }

    /// ```ebnf
    /// expression = negation ( { "and" negation } | { "or" negation } ) ;
    /// ```
    fn disjunction(&mut self) -> Parse<Expression> {
        let mut left = self.negation()?;
        let mut first: Option<(&str, Span)> = None;
        let mut mixed = false;
        while let Some(word) = self.one_of(&["and", "or"]) {
            let span = self.advance();
            let (first_word, first_span) = *first.get_or_insert((word, span));
            if first_word != word && !mixed {
                mixed = true;
                let fault = Fault::broken(Code::MixedAndOr, "`and` beside `or` without parentheses")
                    .label(format!("`{word}` here"))
                    .help("say which belongs together: `(a and b) or c`, or `a and (b or c)`");
                let mut diagnostic = fault.at(span);
                diagnostic.secondary.push(Label { span: first_span, text: format!("`{first_word}` here") });
                self.add(diagnostic);
            }
            self.count_operator()?;
            let operator = if word == "and" { Operator::And } else { Operator::Or };
            left = binary(Spanned { node: operator, span }, left, self.negation()?);
        }
        Ok(left)
    }

    /// ```ebnf
    /// negation = { "not" } comparison ;
    /// ```
    fn negation(&mut self) -> Parse<Expression> {
        let mut nots = Vec::new();
        while let Some(span) = self.eat_word("not") {
            self.count_operator()?;
            nots.push(span);
        }
        let mut expression = self.comparison()?;
        for not in nots.into_iter().rev() {
            expression = Expression { span: not.to(expression.span), kind: ExpressionKind::Not(Box::new(expression)) };
        }
        Ok(expression)
    }

    /// ```ebnf
    /// comparison = sum [ comparator sum | [ "not" ] "in" sum | "is" [ "not" ] "null" ] ;
    /// comparator = "==" | "!=" | "<" | "<=" | ">" | ">=" ;
    /// ```
    fn comparison(&mut self) -> Parse<Expression> {
        let mut expression = self.sum()?;
        let mut comparisons = 0;
        while self.at_comparison() {
            comparisons += 1;
            if comparisons == 2 {
                let fault = Fault::broken(Code::ChainedComparison, "comparisons do not chain")
                    .label("would compare the truth of what stands before it")
                    .help("write `a < b and b < c`");
                self.report(fault, self.peek().span);
            }
            self.count_operator()?;
            expression = self.compared(expression)?;
        }
        Ok(expression)
    }

    fn at_comparison(&mut self) -> bool {
        self.could_be(&["in", "is", "not"]);
        match self.peek().kind {
            TokenKind::Sign(sign) => sign == "=" || COMPARISONS.iter().any(|(ours, _)| *ours == sign),
            TokenKind::Word("in" | "is") => true,
            TokenKind::Word("not") => self.ahead(1).kind == TokenKind::Word("in") || misspelt::meant(self.ahead(1), &["in"], self.ahead(2)).is_some(),
            _ => false,
        }
    }

    /// Takes one comparison with `left`; one begins here.
    fn compared(&mut self, left: Expression) -> Parse<Expression> {
        let start = self.peek().span;
        if self.eat_word("is").is_some() {
            let negated = self.eat_word("not").is_some();
            if !self.at_word("null") {
                let help = match self.peek().kind {
                    TokenKind::Word("true" | "false") | TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Duration(_) => Some(
                        if negated { "`is not` asks for `null` only: compare with `!=`" } else { "`is` asks for `null` only: compare with `==`" }.to_owned(),
                    ),
                    _ => None,
                };
                self.could_be(&["null"]);
                return Err(self.unexpected_but("`null` or `not null`", help));
            }
            self.advance();
            let span = self.since(left.span);
            return Ok(Expression { span, kind: ExpressionKind::IsNull { operand: Box::new(left), negated } });
        }
        let node = if self.eat_word("not").is_some() {
            self.expect_word("in", "`in` after `not`")?;
            Operator::NotIn
        } else if self.eat_word("in").is_some() {
            Operator::In
        } else if self.eat("=").is_some() {
            let fault = Fault::repaired(Code::ForeignSpelling, "`=` does not compare").label("written otherwise here").help("write `==`");
            self.report(fault, start);
            Operator::Equal
        } else {
            let TokenKind::Sign(sign) = self.peek().kind else { return Err(self.unexpected("a comparison")) };
            self.advance();
            COMPARISONS.iter().find(|(ours, _)| *ours == sign).expect("a comparison begins here").1
        };
        let operator = Spanned { node, span: self.since(start) };
        Ok(binary(operator, left, self.sum()?))
    }

    /// ```ebnf
    /// sum = product { ( "+" | "-" ) product } ;
    /// ```
    fn sum(&mut self) -> Parse<Expression> {
        let mut left = self.product()?;
        while self.at_any(&["+", "-"]) {
            let node = if self.at("+") { Operator::Add } else { Operator::Subtract };
            let span = self.advance();
            self.count_operator()?;
            left = binary(Spanned { node, span }, left, self.product()?);
        }
        Ok(left)
    }

    /// ```ebnf
    /// product = unary { ( "*" | "/" | "%" ) unary } ;
    /// ```
    fn product(&mut self) -> Parse<Expression> {
        let mut left = self.unary()?;
        while let TokenKind::Sign(sign @ ("*" | "/" | "%")) = self.peek().kind {
            let node = match sign {
                "*" => Operator::Multiply,
                "/" => Operator::Divide,
                _ => Operator::Remainder,
            };
            let span = self.advance();
            self.count_operator()?;
            left = binary(Spanned { node, span }, left, self.unary()?);
        }
        Ok(left)
    }

    /// ```ebnf
    /// unary = { "-" } postfix ;
    /// ```
    fn unary(&mut self) -> Parse<Expression> {
        let mut signs = Vec::new();
        while let Some(span) = self.eat("-") {
            self.count_operator()?;
            signs.push(span);
        }
        let mut expression = self.postfix()?;
        for sign in signs.into_iter().rev() {
            expression = Expression { span: sign.to(expression.span), kind: ExpressionKind::Negate(Box::new(expression)) };
        }
        Ok(expression)
    }

    /// ```ebnf
    /// postfix = primary { "." name | "[" [ "-" ] whole "]" } ;
    /// ```
    fn postfix(&mut self) -> Parse<Expression> {
        let mut base = self.primary()?;
        while self.at_any(&[".", "["]) {
            self.count_operator()?;
            let start = base.span;
            let kind = if self.eat(".").is_some() {
                ExpressionKind::Member { base: Box::new(base), field: self.name(Words::Reserved, "the name of a field after `.`")? }
            } else {
                ExpressionKind::Index { base: Box::new(base), place: self.index()? }
            };
            base = Expression { span: self.since(start), kind };
        }
        Ok(base)
    }

    fn index(&mut self) -> Parse<Spanned<i64>> {
        self.open("[", "`[`")?;
        let start = self.peek().span;
        let negative = self.eat("-").is_some();
        if !matches!(self.peek().kind, TokenKind::Number(_)) && self.peek().state == TokenState::Sound {
            let fault = Fault::broken(Code::NotLiteral, format!("expected a place, found {}", self.found()))
                .label("places are written out")
                .help("`[0]` is the first, `[-1]` the last");
            return Err(self.report(fault, self.peek().span));
        }
        let number = self.whole_number("a place, as in `[0]` or `[-1]`")?;
        let span = self.since(start);
        let Ok(place) = i64::try_from(number) else {
            let fault = Fault::broken(Code::BadNumber, "the number is too large")
                .label(format!("at most {}", i64::MAX))
                .help("write a place nearer to the first, `[0]`, or to the last, `[-1]`");
            return Err(self.report(fault, span));
        };
        self.close("]", "`]`")?;
        Ok(Spanned { node: if negative { -place } else { place }, span })
    }

    /// ```ebnf
    /// primary = text | number | "true" | "false" | "null" | duration | values | "(" expression ")" | call | name ;
    /// ```
    fn primary(&mut self) -> Parse<Expression> {
        const VALUE: &str = "a value: a field, a literal, a call or `(`";
        let token = self.peek();
        let kind = match &token.kind {
            TokenKind::Sign("[") => self.values()?,
            TokenKind::Sign("(") => {
                self.open("(", "`(`")?;
                let inner = self.disjunction()?;
                if self.at(",") {
                    return Err(self.unexpected_but("an operator or `)`", Some("a list stands in square brackets: `field in [a, b]`".to_owned())));
                }
                self.close(")", "an operator or `)`")?;
                ExpressionKind::Parenthesized(Box::new(inner))
            }
            TokenKind::Word("true" | "false" | "null") | TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Duration(_) => self.scalar(VALUE)?,
            TokenKind::Word(_) if self.at_item() => return Err(self.unexpected(VALUE)),
            TokenKind::Word(word) if is_reserved(word) => return Err(self.word_as_value(word, VALUE)),
            TokenKind::Word(name) | TokenKind::Quoted(name) if self.ahead(1).kind == TokenKind::Sign("(") => self.call(name)?,
            TokenKind::Word(name) | TokenKind::Quoted(name) => {
                self.advance();
                ExpressionKind::Name((*name).to_owned())
            }
            TokenKind::Sign("*") => return Err(self.star_as_value(VALUE)),
            _ => return Err(self.unexpected(VALUE)),
        };
        Ok(Expression { span: self.since(token.span), kind })
    }

    /// `count(*)`, `emit *`.
    fn star_as_value(&mut self, role: &str) -> Failed {
        let help = match self.previous().kind {
            TokenKind::Sign("(") => Some("count the events of a step, `count(a)`, or those of a stream, `count(S over 10m)`"),
            TokenKind::Word("emit") => Some("leave `emit` out for the key and all events, or name the fields: `emit a.amount, b.amount`"),
            _ => None,
        };
        self.unexpected_but(role, help.map(str::to_owned))
    }

    /// A word of the language where a value is meant: a field of that name, if it goes on like one.
    fn word_as_value(&mut self, word: &str, role: &str) -> Failed {
        let next = self.ahead(1);
        let goes_on = match next.kind {
            TokenKind::Sign(sign) => !["{", "(", "[", "}", ":"].contains(&sign),
            TokenKind::Word(next) => ["and", "or", "in", "is", "as"].contains(&next),
            _ => false,
        };
        if goes_on && self.peek().state == TokenState::Sound {
            return self.reserved(word, self.peek().span, role);
        }
        let joined = matches!(self.previous().kind, TokenKind::Word("and" | "or"));
        let help = (joined && word == "then").then(|| "between steps write `then` alone".to_owned());
        self.unexpected_but(role, help)
    }

    /// ```ebnf
    /// values = "[" [ expression { "," expression } [ "," ] ] "]" ;
    /// ```
    fn values(&mut self) -> Parse<ExpressionKind> {
        self.open("[", "`[`")?;
        let mut items = Vec::new();
        while !self.at("]") {
            items.push(self.disjunction()?);
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close("]", "`,` or `]`")?;
        Ok(ExpressionKind::List(items))
    }

    /// ```ebnf
    /// call = name "(" [ expression ( window | { "," expression } ) ] ")" ;
    /// window = "over" [ "tumbling" | "session" ] duration ;
    /// ```
    fn call(&mut self, name: &str) -> Parse<ExpressionKind> {
        let function = Spanned { node: name.to_owned(), span: self.advance() };
        self.count_operator()?;
        self.open("(", "`(`")?;
        let mut arguments = Vec::new();
        while !self.at(")") || !arguments.is_empty() {
            arguments.push(self.disjunction()?);
            if arguments.len() == 1 && self.one_of(&["over"]).is_some() {
                let window = self.window()?;
                self.close(")", "`)` after the window")?;
                let argument = Box::new(arguments.remove(0));
                return Ok(ExpressionKind::Window { function, argument, window });
            }
            if self.eat(",").is_none() {
                break;
            }
        }
        self.close(")", "an operator, `,` or `)`")?;
        Ok(ExpressionKind::Call { function, arguments })
    }

    fn window(&mut self) -> Parse<Window> {
        self.advance();
        let kind = match self.one_of(&["tumbling", "session"]) {
            Some("tumbling") => Window::Tumbling,
            Some("session") => Window::Session,
            _ => return Ok(Window::Sliding(self.duration("a duration, as in `over 10m`, `over tumbling 1h`, `over session 30m`")?)),
        };
        self.advance();
        Ok(kind(self.duration("a duration, as in `over 10m`")?))
    }
}

fn binary(operator: Spanned<Operator>, left: Expression, right: Expression) -> Expression {
    let span = left.span.to(right.span);
    Expression { span, kind: ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(right) } }
}
