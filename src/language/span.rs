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

/// What a file holds, as a text.
#[derive(Clone, Debug)]
pub struct ReadSource {
    /// Wherever bytes are no text there is a U+FFFD instead.
    pub source: Source,
    /// Where the first of these is in the text: byte `start` of both, as what is before is text.
    pub not_utf8: Option<u32>,
}

impl ReadSource {
    /// The bytes of a file as UTF-8.
    pub fn of_bytes(path: String, bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { source: Source { path, text }, not_utf8: None },
            Err(error) => {
                let start = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Self { source: Source { path, text }, not_utf8: Some(start) }
            }
        }
    }
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
