//! Places in source texts.

/// A place in one of the program's source texts: bytes `start..end`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    pub end: u32,
}

/// Which source text, as a place in the list that was given to the compiler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct SourceId(pub u16);

/// A source text: a file, or what stands in for one.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the user would name it.
    pub path: String,
    pub text: String,
}

/// All places are equal, so that trees can be compared without them.
impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Something and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

impl Span {
    /// From the start of this to the end of `other`.
    pub fn to(self, other: Self) -> Self {
        Self { source: self.source, start: self.start, end: other.end }
    }
}
