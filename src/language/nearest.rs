//! What a misspelt name was probably meant to be.
//!
//! The distance counts inserted, left out and changed characters and swapped neighbours (optimal string alignment: Damerau 1964, with no
//! character edited twice). A third of the name may be wrong; beyond that a guess misleads more than it helps.

/// The candidate that comes nearest to `name`, if one is near enough; `name` itself is no answer. One that differs only in the case of its
/// letters comes first. Of several equally near ones that with fewer changed characters (a letter is forgotten or doubled more often than
/// mistaken), then that with the same first letter, then the one that was given first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut search = Search::of(name);
    candidates.into_iter().for_each(|candidate| search.look_at(candidate));
    search.best.map(|(_, candidate)| candidate)
}

/// Whether [`nearest`] finds one; looks no further than the first that is near enough.
pub(super) fn has_near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> bool {
    let mut search = Search::of(name);
    candidates.into_iter().any(|candidate| {
        search.look_at(candidate);
        search.best.is_some()
    })
}

struct Search<'n, 'a> {
    name: &'n str,
    letters: Vec<char>,
    /// Those of the candidate looked at.
    theirs: Vec<char>,
    /// What costs more is not near enough, or not as near as the best one so far.
    limit: usize,
    /// The cost, and whether the first letter is another.
    best: Option<((usize, bool), &'a str)>,
}

impl<'n, 'a> Search<'n, 'a> {
    fn of(name: &'n str) -> Self {
        let letters: Vec<char> = folded(name).collect();
        let limit = (bound(letters.len()) + 1) * EDIT - 1;
        Self { name, letters, theirs: Vec::new(), limit, best: None }
    }

    fn look_at(&mut self, candidate: &'a str) {
        self.theirs.clear();
        self.theirs.extend(folded(candidate));
        if candidate == self.name {
            return;
        }
        let Some(distance) = distance(&self.letters, &self.theirs, self.limit) else { return };
        let rank = (distance, self.letters.first() != self.theirs.first());
        if self.best.is_none_or(|(least, _)| rank < least) {
            self.best = Some((rank, candidate));
            self.limit = distance;
        }
    }
}

/// Edits that a name of so many letters may be off: a third of them, at least one, and none for a single letter.
fn bound(letters: usize) -> usize {
    if letters < 2 { 0 } else { (letters / 3).max(1) }
}

/// Long names are compared by their beginnings, so that the time is bounded.
const LETTERS_MAX: usize = 128;

fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_lowercase).take(LETTERS_MAX)
}

/// What an edit costs; one that changes a character costs one more. Larger than the number of edits, which these add up to.
const EDIT: usize = 2 * LETTERS_MAX;

/// More than any edits cost.
const FAR: usize = (2 * LETTERS_MAX + 1) * (EDIT + 1);

/// The least cost of edits from one to the other, if it is not above `limit`. Row by row; the row before the last one serves swapped neighbours. Only the
/// columns that are as near to the diagonal as the limit allows are looked at: each further one is an inserted or left out character more.
fn distance(from: &[char], to: &[char], limit: usize) -> Option<usize> {
    let most = limit / EDIT;
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    let mut rows = [[FAR; LETTERS_MAX + 2]; 3];
    let [before_last, last, now] = &mut rows;
    let (mut before_last, mut last, mut now) = (before_last, last, now);
    (0..=to.len().min(most)).for_each(|column| last[column] = column * EDIT);
    for row in 1..=from.len() {
        let (first, end) = (row.saturating_sub(most).max(1), to.len().min(row + most));
        now[first - 1] = if first == 1 { row * EDIT } else { FAR };
        // What stands behind it is of an earlier row.
        now[end + 1] = FAR;
        let mut least_of_row = now[first - 1];
        for column in first..=end {
            let changed = if from[row - 1] == to[column - 1] { 0 } else { EDIT + 1 };
            let mut least = (last[column - 1] + changed).min(last[column] + EDIT).min(now[column - 1] + EDIT);
            if row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1] {
                least = least.min(before_last[column - 2] + EDIT);
            }
            now[column] = least;
            least_of_row = least_of_row.min(least);
        }
        // From here on it only becomes more. A swap that passes over this row costs no less than leaving out its first letter, which does not.
        if least_of_row > limit {
            return None;
        }
        (before_last, last, now) = (last, now, before_last);
    }
    Some(last[to.len()]).filter(|cost| *cost <= limit)
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
    fn the_distance_is_that_of_its_definition_up_to_the_limit() {
        /// The last of the edits is one of these.
        fn defined(from: &[char], to: &[char]) -> usize {
            let (Some((last, rest)), Some((to_last, to_rest))) = (from.split_last(), to.split_last()) else { return from.len().max(to.len()) * EDIT };
            let changed = if last == to_last { 0 } else { EDIT + 1 };
            let least = (defined(rest, to_rest) + changed).min(defined(rest, to) + EDIT).min(defined(from, to_rest) + EDIT);
            match (rest.split_last(), to_rest.split_last()) {
                (Some((before, rest)), Some((to_before, to_rest))) if before == to_last && last == to_before => least.min(defined(rest, to_rest) + EDIT),
                _ => least,
            }
        }
        let mut words = vec![Vec::new()];
        for place in 0.. {
            let Some(word) = words.get(place).filter(|word: &&Vec<char>| word.len() < 4).cloned() else { break };
            words.extend(['a', 'b', 'c'].map(|letter| [&word[..], &[letter]].concat()));
        }
        words.extend(["abcabcab", "abcaabcab", "bacabcba", "cccccccc"].map(|word| word.chars().collect()));
        for (from, to) in words.iter().flat_map(|from| words.iter().map(move |to| (from, to))) {
            let cost = defined(from, to);
            for limit in [0, EDIT - 1, EDIT, 2 * EDIT, 3 * EDIT - 1, 4 * EDIT, cost.saturating_sub(1), cost, cost + 1] {
                assert_eq!(distance(from, to, limit), (cost <= limit).then_some(cost), "{from:?} {to:?} {limit}");
            }
        }
    }

    #[test]
    fn whether_one_is_near_is_told_by_the_first_that_is() {
        let mut looked_at = 0;
        assert!(has_near("amout", ["card", "amount", "amoun"].into_iter().inspect(|_| looked_at += 1)));
        assert_eq!(looked_at, 2);
        assert!(!has_near("amout", ["card", "amout", "a"]));
    }

    #[test]
    fn names_of_any_length_are_compared_in_bounded_time() {
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, ["x".repeat(1 << 19).as_str()]).map(str::len), Some(1 << 19));
    }
}
