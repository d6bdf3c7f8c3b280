//! What a misspelt name was probably meant to be.
//!
//! The distance counts inserted, left out and changed characters and swapped neighbours (optimal string alignment: Damerau 1964, with no
//! character edited twice). A third of the name may be wrong; beyond that a guess misleads more than it helps.

/// The candidate that comes nearest to `name`, if one is near enough; `name` itself is no answer. One that differs only in the case of its
/// letters comes first. Of several equally near ones that with fewer changed characters (a letter is forgotten or doubled more often than
/// mistaken), then that with the same first letter, then the one that was given first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(name);
    let most = bound(wanted.len());
    let mut best: Option<((usize, bool), &'a str)> = None;
    for candidate in candidates {
        let letters = folded(candidate);
        if letters.len().abs_diff(wanted.len()) > most || candidate == name {
            continue;
        }
        let distance = distance(&wanted, &letters);
        let rank = (distance, letters.first() != wanted.first());
        if distance / EDIT <= most && best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits that a name of so many letters may be off: a third of them, at least one, and none for a single letter.
fn bound(letters: usize) -> usize {
    if letters < 2 { 0 } else { (letters / 3).max(1) }
}

/// Long names are compared by their beginnings, so that the time is bounded.
const LETTERS_MAX: usize = 128;

fn folded(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).take(LETTERS_MAX).collect()
}

/// What an edit costs; one that changes a character costs one more. Larger than the number of edits, which these add up to.
const EDIT: usize = 2 * LETTERS_MAX;

/// The least cost of edits from one to the other, row by row; the row before the last one serves swapped neighbours.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).map(|column| column * EDIT).collect();
    for row in 1..=from.len() {
        let mut now = vec![row * EDIT];
        for column in 1..=to.len() {
            let changed = if from[row - 1] == to[column - 1] { 0 } else { EDIT + 1 };
            let mut least = (last[column - 1] + changed).min(last[column] + EDIT).min(now[column - 1] + EDIT);
            if row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1] {
                least = least.min(before_last[column - 2] + EDIT);
            }
            now.push(least);
        }
        before_last = std::mem::replace(&mut last, now);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let names = ["amount", "account", "card_id", "at", "by_Country", "Amount_total"];
        let cases = [
            ("amout", Some("amount")),
            ("amuont", Some("amount")),
            ("AMOUNT", Some("amount")),
            ("acount", Some("account")),
            ("cardid", Some("card_id")),
            ("card_di", Some("card_id")),
            ("by_country", Some("by_Country")),
            ("ta", Some("at")),
            ("a", None),
            ("x", None),
            ("", None),
            ("merchant", None),
            ("am", Some("at")),
            ("amount", Some("account")),
        ];
        for (name, wanted) in cases {
            assert_eq!(nearest(name, names), wanted, "{name}");
        }
    }

    #[test]
    fn the_first_of_equally_near_ones_wins() {
        assert_eq!(nearest("cat", ["bat", "cut", "car"]), Some("cut"));
        assert_eq!(nearest("name", ["NAME", "Name"]), Some("NAME"));
    }

    #[test]
    fn names_of_any_length_are_compared_in_bounded_time() {
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, ["x".repeat(1 << 19).as_str()]).map(str::len), Some(1 << 19));
    }
}
