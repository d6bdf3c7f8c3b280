//! `list name = [ … ]`.

use std::cell::RefCell;
use std::sync::Arc;

use crate::event::Value;
use crate::language::ast;
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::literals::{Items, NO_VALUES, Written, written_list};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;
use crate::pattern::{Among, Expression};

pub(super) struct List {
    /// Of its name.
    pub span: Span,
    pub kind: Kind,
    /// Numbers as they are written.
    pub value: Value,
    /// By the kind of what is looked for in it: one for all conditions that do, since there may be as many rules as values.
    among: RefCell<Vec<(Kind, Arc<Among>)>>,
}

impl List {
    /// Whether this is the list, and not a field of the same name.
    pub(super) fn is(&self, expression: &Expression) -> bool {
        matches!((expression, &self.value), (Expression::Constant(Value::List(one)), Value::List(other)) if Arc::ptr_eq(one, other))
    }

    /// Its values, as they are compared with an item of this kind; `make`: of the first one.
    pub(super) fn among(&self, item: &Kind, make: impl FnOnce() -> Result<Arc<Among>, Expression>) -> Result<Arc<Among>, Expression> {
        let known = self.among.borrow().iter().find(|(kind, _)| kind == item).map(|(_, among)| among.clone());
        if let Some(among) = known {
            return Ok(among);
        }
        let among = make()?;
        self.among.borrow_mut().push((item.clone(), among.clone()));
        Ok(among)
    }
}

pub(super) fn declared(list: &ast::List, findings: &mut Findings) -> List {
    let Written { value, kind } = written_list(&list.items, Items::Alike, findings);
    if list.items.is_empty() {
        findings.add(Diagnostic::new(Code::EmptyList, list.name.span, format!("the list `{}` is empty", list.name.node), "nothing is in it").help(NO_VALUES));
    }
    List { span: list.name.span, kind, value, among: RefCell::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::language::{Source, compile};
    use crate::pattern::{Among, Expression, Pattern, normal_form};

    fn pattern(text: &str) -> (Arc<Pattern>, String) {
        let stream = "stream ev { card: string  x: int  d: decimal  f: float  t: duration  at: timestamp  time at }";
        let compiled = compile(&[Source { path: "it.motif".to_owned(), text: format!("{stream}\n{text}") }]);
        assert!(!compiled.has_errors(), "{:?}", compiled.diagnostics);
        let pattern = compiled.program.patterns[0].clone();
        let text = normal_form(&pattern, &compiled.program.schema);
        (pattern, text)
    }

    const LISTS: &str = r#"
list codes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j \"k\""]
list numbers = [1, 2, 3.0, 4, 5, 6, 7, 8, 9, 10]
list parts = [1, 2.50, 3, 4, 5, 6, 7, 8, 9, 10]
"#;

    const PATTERN: &str = r#"
pattern p {
  from ev by card
  match a: ev where card in codes and x in numbers and x not in parts
        then b: ev where (d in numbers and d in parts) or (f in numbers and f not in parts)
        then c: ev where t in [1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s, 9s, 1m] or card in ["a", "b"]
  within 1m
}"#;

    /// State is found by the version, in whatever way the values of lists are looked up.
    #[test]
    fn a_pattern_keeps_its_version_however_lists_are_looked_up() {
        let (declared, text) = pattern(&format!("{LISTS}{PATTERN}"));
        let conditions: Vec<&str> = text.lines().filter_map(|line| line.split_once(": ev where ")).map(|(_, condition)| condition).collect();
        let expected = [
            r#"((card in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j \"k\""]) and (x in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) and not ((x in [1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10])))"#,
            "(((d in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) and (d in [1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10])) or ((f in [1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f, 10.0f]) and not ((f in [1.0f, 2.5f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f, 10.0f]))))",
            r#"((t in [1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s, 9s, 1m]) or (card in ["a", "b"]))"#,
        ];
        assert_eq!(conditions, expected);
        assert_eq!(declared.version, 0xa9b3_6e61_e5d1_91ca_0ba3_4048_21e5_b16b);
        let spread = LISTS.lines().filter_map(|line| line.strip_prefix("list ")?.split_once(" = "));
        let spread = spread.fold(PATTERN.to_owned(), |pattern, (name, list)| pattern.replace(&format!("in {name}"), &format!("in {list}")));
        assert_eq!(pattern(&spread).0.version, declared.version);
    }

    /// A thousand rules that ask for blocked cards hold them once.
    #[test]
    fn conditions_share_a_list_that_they_compare_alike() {
        let conditions =
            "x in numbers then b: ev where x + 1 in numbers or 3 * x not in numbers then c: ev where f in numbers or f + 1.0 in numbers or d in numbers";
        let (pattern, _) = pattern(&format!("{LISTS}pattern p {{ from ev by card  match a: ev where {conditions} within 1m }}"));
        let mut held: Vec<*const Among> = Vec::new();
        let mut note = |part: &Expression| {
            if let Expression::Among { among, .. } = part {
                held.push(Arc::as_ptr(among));
            }
        };
        pattern.conditions.iter().flat_map(|condition| &condition.expression).for_each(|expression| expression.visit(&mut |part| note(part)));
        let [ints @ .., one_float, other_float, decimals] = &held[..] else { panic!("{held:?}") };
        assert!(ints.len() == 3 && ints.iter().all(|list| *list == ints[0]) && one_float == other_float, "{held:?}");
        assert!(ints[0] != *one_float && ints[0] != *decimals && one_float != decimals, "{held:?}");
    }
}
