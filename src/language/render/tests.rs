//! What is shown of diagnostics, written out; and bounds that hold for any place in any text.

use super::*;
use crate::language::codes::Code;
use crate::language::diagnostic::Label;
use crate::language::span::{SourceId, Span};

fn source(text: &str) -> Source {
    Source { path: "rules/cards.motif".to_owned(), text: text.to_owned() }
}

fn label(source: u16, start: usize, end: usize, text: &str) -> Label {
    let bytes = |place: usize| u32::try_from(place).expect("texts of tests are short");
    Label { span: Span { source: SourceId(source), start: bytes(start), end: bytes(end) }, text: text.to_owned() }
}

fn diagnostic(primary: Label) -> Diagnostic {
    let message = "unknown field `amout` on `payments`".to_owned();
    Diagnostic { code: Code::Unexpected, severity: Severity::Error, message, primary, secondary: Vec::new(), help: None }
}

/// The text with the bytes from the first `<` to the first `>` marked, these two left out.
fn marked(text: &str) -> (String, Label) {
    let start = text.find('<').expect("a mark");
    let end = text.find('>').expect("a mark") - 1;
    (text.replacen('<', "", 1).replacen('>', "", 1), label(0, start, end, "not a field"))
}

fn plain(text: &str) -> String {
    let (text, primary) = marked(text);
    render(&[diagnostic(primary)], &[source(&text)], RenderStyle::Plain)
}

#[test]
fn a_diagnostic_shows_its_place_its_reason_and_its_remedy() {
    let (text, primary) = marked("define small = payments where <amout> < 2\n");
    let mut warning = diagnostic(primary);
    warning.severity = Severity::Warning;
    warning.secondary = vec![label(0, 15, 23, "of this stream"), label(1, 7, 15, "declared here")];
    warning.help = Some("did you mean `amount`?".to_owned());
    let other = Source { path: "streams.motif".to_owned(), text: "stream payments { amount: int }".to_owned() };
    let shown = render(&[warning], &[source(&text), other], RenderStyle::Plain);
    let wanted = "\
warning[E0007]: unknown field `amout` on `payments`
 --> rules/cards.motif:1:31
  |
1 | define small = payments where amout < 2
  |                --------       ^^^^^ not a field
  |                |
  |                of this stream
  |
 ::: streams.motif:1:8
  |
1 | stream payments { amount: int }
  |        -------- declared here
  |
  = help: did you mean `amount`?

";
    assert_eq!(shown, wanted, "{shown}");
}

#[test]
fn any_place_can_be_marked() {
    let cases = [
        ("an empty place", "a <>b\n", "1:3", "1 | a b\n  |   ^ not a field"),
        ("the end of the text", "a b\n<>", "2:1", "2 |\n  | ^ not a field"),
        ("the end of a text without a last line end", "a b<>", "1:4", "1 | a b\n  |    ^ not a field"),
        ("an empty text", "<>", "1:1", "1 |\n  | ^ not a field"),
        ("the end of a line", "a b<\n>c", "1:4", "1 | a b\n  |    ^ not a field"),
        ("CRLF", "a\r\nb <c>\r\nd\r\n", "2:3", "2 | b c\n  |   ^ not a field"),
        ("tabs", "\ta\t<b>", "1:4", "1 |     a    b\n  |          ^ not a field"),
        ("wide characters", "\"日本\" <b>", "1:6", "1 | \"日本\" b\n  |        ^ not a field"),
    ];
    for (case, text, place, wanted) in cases {
        let shown = plain(text);
        let head = format!("error[E0007]: unknown field `amout` on `payments`\n --> rules/cards.motif:{place}\n  |\n");
        assert_eq!(shown.replace(" \n", "\n"), format!("{head}{wanted}\n\n"), "{case}:\n{shown}");
    }
}

#[test]
fn lines_between_two_labels_are_folded() {
    let text = format!("first\n{}last", "between\n".repeat(1000));
    let mut far = diagnostic(label(0, text.len() - 4, text.len(), "here"));
    far.secondary.push(label(0, 0, 5, "and here"));
    let shown = render(&[far], &[source(&text)], RenderStyle::Plain);
    assert!(shown.contains("1002 | last") && shown.contains("1 | first"), "{shown}");
    assert!(shown.lines().count() < 15, "{shown}");
}

#[test]
fn a_long_line_is_cut_around_its_labels() {
    let long = "x".repeat(500_000);
    let (text, primary) = marked(&format!("{long} <amout> {long}\n"));
    let mut cut = diagnostic(primary);
    cut.secondary.push(label(0, 20, 500_000, "this"));
    let shown = render(&[cut.clone()], &[source(&text)], RenderStyle::Plain);
    assert!(shown.contains("rules/cards.motif:1:500002\n") && shown.contains("rules/cards.motif:1:21\n"), "{shown}");
    assert!(shown.contains("xxx amout xxx") && shown.contains("^^^^^ not a field"), "{shown}");
    for style in [RenderStyle::Plain, RenderStyle::Colored, RenderStyle::Json] {
        assert!(render(&[cut.clone()], &[source(&text)], style).len() < 2000);
    }
}

#[test]
fn what_is_shown_is_bounded_wherever_the_labels_are() {
    let texts = ["", "\n", "a\r\n\r\n\tb", "é日\u{1b}[31m\u{0}\n本\n", &"αβ γ".repeat(300), &format!("a\n{}\nb\n{}", "x".repeat(1000), "\n".repeat(20))];
    for text in texts {
        for start in (0..=text.len() + 2).step_by(1 + text.len() / 40) {
            for end in (start..=text.len() + 2).step_by(1 + text.len() / 40) {
                let mut found = diagnostic(label(0, start, end, "here"));
                found.secondary.push(label(0, text.len() - text.len() / 2, text.len(), "there"));
                found.help = Some("\u{1b}[2J".to_owned());
                let shown = render(&[found], &[source(text)], RenderStyle::Plain);
                assert!(shown.len() < 4000, "{start}..{end} of {text:?}:\n{shown}");
                assert!(!shown.contains('\u{1b}'), "{shown}");
            }
        }
    }
}

#[test]
fn json_has_one_object_a_line() {
    let (text, primary) = marked("日 <amout>\nb\n");
    let mut first = diagnostic(primary);
    first.help = Some("did you mean `amount`?".to_owned());
    let second = Diagnostic { secondary: vec![label(0, 10, 11, "\"there\"")], ..diagnostic(label(0, 4, 11, "")) };
    let shown = render(&[first, second], &[source(&text)], RenderStyle::Json);
    let wanted = concat!(
        r#"{"code":"E0007","severity":"error","message":"unknown field `amout` on `payments`","path":"rules/cards.motif","line":1,"column":3,"#,
        r#""end_line":1,"end_column":8,"label":"not a field","help":"did you mean `amount`?","secondary":[]}"#,
        "\n",
        r#"{"code":"E0007","severity":"error","message":"unknown field `amout` on `payments`","path":"rules/cards.motif","line":1,"column":3,"#,
        r#""end_line":2,"end_column":2,"label":"","help":null,"secondary":[{"path":"rules/cards.motif","line":2,"column":1,"end_line":2,"#,
        r#""end_column":2,"label":"\"there\""}]}"#,
        "\n",
    );
    assert_eq!(shown, wanted);
}
