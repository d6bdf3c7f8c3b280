//! What the texts of a program declare: streams, lists, and sets of events (streams and defines) by name.
//!
//! Streams, lists and defines share one space of names; the first of a name counts. A define is resolved once: the stream at its root, the
//! conditions that narrow it, and the names on the way.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Schema, StreamId};
use crate::language::ast::{self, File, Item, Name};
use crate::language::check::defines;
use crate::language::check::findings::Findings;
use crate::language::check::lists::{self, List};
use crate::language::check::streams::{self, Stream};
use crate::language::codes::Code;
use crate::language::diagnostic::Diagnostic;
use crate::language::nearest::has_near;
use crate::language::span::{Source, Span};
use crate::pattern::Expression;

/// Streams of one program: numbered by 16 bits.
const STREAMS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Declarations<'a> {
    sources: &'a [Source],
    /// In order of their names.
    pub streams: Vec<Stream<'a>>,
    pub lists: BTreeMap<&'a str, List>,
    /// Streams and defines. `None`: there is something wrong with it, which has been said.
    pub events: BTreeMap<&'a str, Option<Events<'a>>>,
    /// Of these names nothing is said: what declares them could not be read.
    unread: BTreeSet<&'a str>,
    /// Something could not be read so far that its name is not known.
    names_lost: bool,
}

/// A stream, or a define of one.
#[derive(Clone, Debug)]
pub(super) struct Events<'a> {
    pub stream: StreamId,
    /// The name itself, then what it narrows, to the stream.
    pub lineage: Vec<&'a str>,
    /// What the defines on the way demand.
    pub conditions: Vec<Expression>,
}

/// What a name was declared as.
#[derive(Clone, Copy)]
enum Sort<'a> {
    Stream(&'a ast::Stream),
    List(&'a ast::List),
    Define(&'a ast::Define),
}

impl<'a> Sort<'a> {
    fn name(self) -> &'a Name {
        match self {
            Self::Stream(stream) => &stream.name,
            Self::List(list) => &list.name,
            Self::Define(define) => &define.name,
        }
    }
}

impl<'a> Declarations<'a> {
    pub(super) fn of(sources: &'a [Source], files: &'a [File], names_lost: bool, findings: &mut Findings) -> Self {
        let unread = files.iter().flat_map(|file| &file.unread).map(|name| name.node.as_str()).collect();
        let mut declarations = Self { sources, unread, names_lost, ..Self::default() };
        let first = first_of_each_name(files, findings);
        let mut streams: Vec<&ast::Stream> = Vec::new();
        for sort in first.values() {
            match sort {
                Sort::Stream(stream) => streams.push(stream),
                Sort::List(list) => {
                    declarations.lists.insert(&list.name.node, lists::declared(list, findings));
                }
                Sort::Define(_) => {}
            }
        }
        if let Some(stream) = streams.get(STREAMS_MAX) {
            let message = format!("more than {STREAMS_MAX} streams");
            findings.add(Diagnostic::new(Code::TooMany, stream.name.span, message, "one too many").help("declare fewer, or spread them over several programs"));
            streams.truncate(STREAMS_MAX);
        }
        for (number, stream) in (0..).zip(streams) {
            let events = Events { stream: StreamId(number), lineage: vec![&stream.name.node], conditions: Vec::new() };
            declarations.events.insert(&stream.name.node, Some(events));
            declarations.streams.push(streams::declared(stream, findings));
        }
        let written = first.values().filter_map(|sort| if let Sort::Define(define) = sort { Some((define.name.node.as_str(), *define)) } else { None });
        defines::resolve(&written.collect(), &mut declarations, findings);
        declarations
    }

    pub(super) fn stream(&self, id: StreamId) -> &Stream<'a> {
        &self.streams[usize::from(id.0)]
    }

    /// The stream or define of this name. Where there is none, or something is wrong with it, that is said (once in all).
    pub(super) fn events(&self, name: &Name, findings: &mut Findings) -> Option<&Events<'a>> {
        if let Some(known) = self.events.get(name.node.as_str()) {
            return known.as_ref();
        }
        if let Some(list) = self.lists.get(name.node.as_str()) {
            let message = format!("`{}` is a list, not a stream", name.node);
            let diagnostic = Diagnostic::new(Code::WrongSort, name.span, message, "a stream or define is meant here");
            let diagnostic = diagnostic.also(list.span, "the list is declared here");
            findings.add(diagnostic.help("name a stream or define; whether a value is in the list is a condition, as in `where country in trusted`"));
        } else if !self.may_be_unread(&name.node, self.event_names()) {
            findings.missing_stream(&name.node, name.span);
        }
        None
    }

    /// Whether the name may be declared in what could not be read, and is no misspelling of one that is known.
    pub(super) fn may_be_unread<'n>(&self, name: &str, known: impl IntoIterator<Item = &'n str>) -> bool {
        self.unread.contains(name) || (self.names_lost && !has_near(name, known))
    }

    /// Names of streams and defines.
    pub(super) fn event_names(&self) -> impl Iterator<Item = &'a str> {
        self.events.keys().copied()
    }

    /// What stands there, on one line and not too long.
    pub(super) fn quoted(&self, span: Span) -> String {
        const SHOWN_MAX: usize = 40;
        let text = self.sources.get(usize::from(span.source.0)).and_then(|source| source.text.get(span.start as usize..span.end as usize));
        let line = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= SHOWN_MAX { line } else { line.chars().take(SHOWN_MAX - 1).chain(['…']).collect() }
    }

    /// Of the streams; whole only where nothing is wrong.
    pub(super) fn schema(&self) -> Schema {
        Schema { streams: self.streams.iter().map(Stream::typed).collect() }
    }
}

fn first_of_each_name<'a>(files: &'a [File], findings: &mut Findings) -> BTreeMap<&'a str, Sort<'a>> {
    let mut first: BTreeMap<&str, Sort<'_>> = BTreeMap::new();
    for item in files.iter().flat_map(|file| &file.items) {
        let sort = match item {
            Item::Stream(stream) => Sort::Stream(stream),
            Item::List(list) => Sort::List(list),
            Item::Define(define) => Sort::Define(define),
            Item::Pattern(_) | Item::Test(_) | Item::Table(_) => continue,
        };
        let name = sort.name();
        match first.get(name.node.as_str()) {
            Some(known) => findings.add(twice(&name.node, name.span, known.name().span)),
            None => {
                first.insert(&name.node, sort);
            }
        }
    }
    first
}

/// The remedy where the same thing is named twice.
pub(super) const ONE_OF_THEM: &str = "leave one of them out";

/// Two of the same name where names must differ.
pub(super) fn twice(name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateName, span, format!("the name `{name}` is given twice"), "here again")
        .also(first, "first here")
        .help("give one of them another name")
}
