//! `list name = [ … ]`.

use crate::event::Value;
use crate::language::ast;
use crate::language::check::findings::Findings;
use crate::language::check::kinds::Kind;
use crate::language::check::literals::{Items, Written, written_list};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::span::Span;

pub(super) struct List {
    /// Of its name.
    pub span: Span,
    pub kind: Kind,
    /// Numbers as they are written.
    pub value: Value,
}

pub(super) fn declared(list: &ast::List, findings: &mut Findings) -> List {
    let Written { value, kind } = written_list(&list.items, Items::Alike, findings);
    if list.items.is_empty() {
        findings.add(Diagnostic::new(Code::EmptyList, list.name.span, format!("the list `{}` is empty", list.name.node), "nothing is in it"));
    }
    List { span: list.name.span, kind, value }
}
