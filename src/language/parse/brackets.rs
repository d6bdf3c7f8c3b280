//! Which brackets belong together, found before parsing, so that the parser knows where a construct it gives up on ends.
//!
//! A new item closes whatever is open: a bracket forgotten in one item does not reach into the next.

use crate::language::parse::token::{Token, TokenKind, TokenState};

/// The words that items begin with.
pub(super) const ITEM_WORDS: [&str; 6] = ["stream", "list", "define", "pattern", "test", "table"];

/// What is known of a text's brackets before it is parsed.
pub(super) struct Brackets {
    /// For each token that is a bracket with a partner, the partner's place.
    partners: Vec<Option<usize>>,
    /// Where items begin for certain.
    items: Vec<usize>,
    /// The tokens that have no end.
    endless: Vec<usize>,
}

impl Brackets {
    pub(super) fn of(tokens: &[Token<'_>]) -> Self {
        let places = |holds: &dyn Fn(usize) -> bool| (0..tokens.len()).filter(|place| holds(*place)).collect();
        Self {
            partners: partners(tokens),
            items: places(&|place| begins_item(&tokens[place..])),
            endless: places(&|place| tokens[place].state == TokenState::Endless),
        }
    }

    /// The bracket that belongs to the one at `place`.
    pub(super) fn partner(&self, place: usize) -> Option<usize> {
        self.partners[place]
    }

    /// Whether the partner of this bracket may have been swallowed by quotes without end.
    pub(super) fn may_be_swallowed(&self, opener: usize) -> bool {
        let next = |places: &[usize]| places.get(places.partition_point(|place| *place <= opener)).copied();
        next(&self.endless).is_some_and(|endless| next(&self.items).is_none_or(|item| endless < item))
    }
}

fn partners(tokens: &[Token<'_>]) -> Vec<Option<usize>> {
    let mut partners = vec![None; tokens.len()];
    let mut open: Vec<(usize, &'static str)> = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        if begins_item(&tokens[place..]) {
            open.clear();
        }
        let TokenKind::Sign(sign) = token.kind else { continue };
        match sign {
            "(" => open.push((place, ")")),
            "[" => open.push((place, "]")),
            // The braces of a quantifier pair only close by: else the pattern's own brace would be taken for theirs.
            "{" if counts(&tokens[place..]) => {
                let near = (place + 1..tokens.len().min(place + NUMBERS_MAX)).find(|&near| tokens[near].kind == TokenKind::Sign("}"));
                if let Some(near) = near {
                    partners[place] = Some(near);
                    partners[near] = Some(place);
                }
            }
            "{" => open.push((place, "}")),
            ")" | "]" | "}" if partners[place].is_none() => {
                // What was opened inside and not closed stays without a partner; a brace is closed by nothing but a brace.
                while open.last().is_some_and(|(_, closer)| *closer != sign && (sign == "}" || *closer != "}")) {
                    open.pop();
                }
                if let Some((opener, _)) = open.pop_if(|(_, closer)| *closer == sign) {
                    partners[opener] = Some(place);
                    partners[place] = Some(opener);
                }
            }
            _ => {}
        }
    }
    partners
}

/// Tokens up to which the brace of a quantifier is closed: `{2..4}`.
const NUMBERS_MAX: usize = 6;

/// `{3`, `{,`: a quantifier's brace.
fn counts(tokens: &[Token<'_>]) -> bool {
    matches!(tokens.get(1).map(|token| &token.kind), Some(TokenKind::Number(_) | TokenKind::Sign(",")))
}

/// Whether an item begins here for certain. Words like `test` are no reserved words, so what follows them counts too.
pub(super) fn begins_item(tokens: &[Token<'_>]) -> bool {
    matches!(tokens[0].kind, TokenKind::Word(word) if goes_on_as_item(word, tokens))
}

/// Whether what stands behind the first token stands there in an item that begins with `word`.
pub(super) fn goes_on_as_item(word: &str, tokens: &[Token<'_>]) -> bool {
    let named_before = |sign| match tokens {
        // The clause `meta` may follow a step of a stream that is called `stream` or `pattern`.
        [_, name, after, ..] => {
            matches!(name.kind, TokenKind::Word(_) | TokenKind::Quoted(_)) && name.kind != TokenKind::Word("meta") && after.kind == TokenKind::Sign(sign)
        }
        _ => false,
    };
    match word {
        "stream" | "pattern" => named_before("{"),
        "list" | "define" => named_before("="),
        "test" | "table" => matches!(tokens.get(1).map(|token| &token.kind), Some(TokenKind::Text(_))),
        _ => false,
    }
}
