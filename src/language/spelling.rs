//! Names and texts as they are written in a pattern file, for remedies that can be copied.

use std::borrow::Cow;

use crate::language::parse::{is_plain_name, is_reserved};

/// A name as it is written wherever it stands: in back quotes, if it is no plain word.
pub(super) fn spelled(name: &str) -> Cow<'_, str> {
    if is_plain_name(name) && !is_reserved(name) { Cow::Borrowed(name) } else { Cow::Owned(format!("`{name}`")) }
}

/// Something to write, between marks that it does not hold itself.
pub(super) fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A name to write.
pub(super) fn named(name: &str) -> String {
    code(&spelled(name))
}

/// `a`, `b`, `c`: the first of them, if there are many.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 12;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(SHOWN_MAX).map(named).collect();
    shown.join(", ") + if names.next().is_some() { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_copied() {
        let cases = [("amount", "`amount`"), ("from", "`` `from` ``"), ("@timestamp", "`` `@timestamp` ``"), ("1st", "`` `1st` ``"), ("", "`` `` ``")];
        for (name, expected) in cases {
            assert_eq!(named(name), expected);
        }
        assert_eq!(code(&format!("{}.{}", spelled("a"), spelled("not"))), "`` a.`not` ``");
        assert_eq!(listed(["a", "b c"]), "`a`, `` `b c` ``");
        let many: Vec<String> = (0..13).map(|number| format!("f{number}")).collect();
        assert!(listed(many.iter().map(String::as_str)).ends_with("`f11`, …"));
    }
}
