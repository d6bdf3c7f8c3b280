//! Pieces of text with places where lines may be broken, laid out to a width.
//!
//! A group is printed on one line if it fits with what follows it up to the next possible break; else each of its lines is broken, and
//! the groups inside decide for themselves. The scheme is Oppen's ("Prettyprinting", 1980), over a finished list of pieces instead of a
//! stream: widths are sums over the list, so the time is linear.

/// Columns of a line, comments at its end not counted.
pub(super) const WIDTH: usize = 110;

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    /// A new line where the group is broken, else `flat`.
    Line {
        flat: &'static str,
    },
    /// A new line where the group is broken and what stands up to the next break does not fit, else a blank.
    Fill,
    /// A new line, always: all groups around it are broken.
    Hard,
    /// A comment to be put at the end of the line, in this column if it is free.
    Suffix {
        text: String,
        column: Option<usize>,
    },
    /// A group begins; its new lines are indented by so many columns more.
    Open {
        indent: usize,
    },
    /// New lines up to [`Piece::Close`] are indented by so many columns more; whether they are broken, the group around decides.
    Nest {
        indent: usize,
    },
    Close,
}

impl Piece {
    fn flat_width(&self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Line { flat } => flat.len(),
            Self::Fill => 1,
            Self::Hard | Self::Suffix { .. } | Self::Open { .. } | Self::Nest { .. } | Self::Close => 0,
        }
    }

    fn is_break(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::Fill | Self::Hard)
    }
}

/// Without breaks and without comments.
pub(super) fn on_one_line(pieces: &[Piece]) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Line { flat } => (*flat).to_owned(),
        Piece::Fill | Piece::Hard => " ".to_owned(),
        Piece::Suffix { .. } | Piece::Open { .. } | Piece::Nest { .. } | Piece::Close => String::new(),
    };
    pieces.iter().map(one).collect()
}

/// What is known of the pieces before any is printed.
struct Measures {
    /// The flat width of all pieces before a place.
    before: Vec<usize>,
    /// The next break at or after a place.
    next_break: Vec<usize>,
    /// For a group's beginning: the place of its end, and whether a new line inside breaks it.
    groups: Vec<(usize, bool)>,
}

impl Measures {
    fn of(pieces: &[Piece]) -> Self {
        let mut before = Vec::with_capacity(pieces.len() + 1);
        let mut width = 0;
        for piece in pieces {
            before.push(width);
            width += piece.flat_width();
        }
        before.push(width);
        let mut next_break = vec![pieces.len(); pieces.len() + 1];
        let mut groups = vec![(pieces.len(), false); pieces.len()];
        // Backwards, so that a group's end is met before its beginning.
        let mut ends: Vec<(usize, bool)> = Vec::new();
        for (place, piece) in pieces.iter().enumerate().rev() {
            next_break[place] = if piece.is_break() { place } else { next_break[place + 1] };
            match piece {
                Piece::Close => ends.push((place, false)),
                Piece::Hard => {
                    if let Some((_, broken)) = ends.last_mut() {
                        *broken = true;
                    }
                }
                Piece::Open { .. } | Piece::Nest { .. } => {
                    let group = ends.pop().expect("groups are closed");
                    groups[place] = group;
                    if let Some((_, around)) = ends.last_mut() {
                        *around |= group.1;
                    }
                }
                _ => {}
            }
        }
        Self { before, next_break, groups }
    }

    fn fits(&self, column: usize, from: usize, to: usize) -> bool {
        column + self.before[to] - self.before[from] <= WIDTH
    }
}

/// The text being made.
#[derive(Default)]
struct Output {
    text: String,
    column: usize,
    /// Blanks owed before the next text of the line.
    indent: usize,
    suffix: Option<(String, Option<usize>)>,
}

impl Output {
    fn push(&mut self, text: &str) {
        if self.column == 0 {
            self.text.extend(std::iter::repeat_n(' ', self.indent));
            self.column = self.indent;
        }
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    /// The column at which the next text would begin.
    fn next_column(&self) -> usize {
        if self.column == 0 { self.indent } else { self.column }
    }

    fn new_line(&mut self, indent: usize) {
        self.flush_suffix();
        let written = self.text.trim_end_matches(' ').len();
        self.text.truncate(written);
        self.text.push('\n');
        self.column = 0;
        self.indent = indent;
    }

    fn flush_suffix(&mut self) {
        let Some((comment, column)) = self.suffix.take() else { return };
        if self.column > 0 {
            let least = self.column + 2;
            let blanks = column.map_or(least, |column| column.max(least)) - self.column;
            self.text.extend(std::iter::repeat_n(' ', blanks));
        }
        self.push(&comment);
    }
}

/// The text of the pieces, without line end.
pub(super) fn render(pieces: &[Piece]) -> String {
    let measures = Measures::of(pieces);
    let mut output = Output::default();
    // Whether the group is broken, and the indentation inside it.
    let mut groups = vec![(true, 0)];
    for (place, piece) in pieces.iter().enumerate() {
        let (broken, indent) = *groups.last().expect("the outermost group is never closed");
        match piece {
            Piece::Text(text) => output.push(text),
            Piece::Hard => output.new_line(indent),
            Piece::Line { .. } if broken => output.new_line(indent),
            Piece::Line { flat } => output.push(flat),
            Piece::Fill if broken && !measures.fits(output.next_column(), place, measures.next_break[place + 1]) => {
                output.new_line(indent);
            }
            Piece::Fill => output.push(" "),
            Piece::Suffix { text, column } => output.suffix = Some((text.clone(), *column)),
            Piece::Open { indent: more } => {
                let (end, forced) = measures.groups[place];
                let fits = measures.fits(output.next_column(), place, measures.next_break[end]);
                groups.push((broken && (forced || !fits), indent + more));
            }
            Piece::Nest { indent: more } => groups.push((broken, indent + more)),
            Piece::Close => {
                groups.pop();
            }
        }
    }
    output.flush_suffix();
    output.text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: usize, separator: &Piece) -> Vec<Piece> {
        let mut pieces = vec![Piece::Text("[".to_owned()), Piece::Open { indent: 2 }, Piece::Line { flat: "" }];
        for place in 0..words {
            if place > 0 {
                pieces.push(Piece::Text(",".to_owned()));
                pieces.push(separator.clone());
            }
            pieces.push(Piece::Text(format!("word{place:04}")));
        }
        pieces.extend([Piece::Close, Piece::Line { flat: "" }, Piece::Text("]".to_owned())]);
        let mut group = vec![Piece::Open { indent: 0 }];
        group.extend(pieces);
        group.push(Piece::Close);
        group
    }

    #[test]
    fn a_group_is_broken_only_if_it_does_not_fit() {
        let line = Piece::Line { flat: " " };
        assert_eq!(render(&list(2, &line)), "[word0000, word0001]");
        assert_eq!(render(&list(12, &line)).lines().count(), 14);
    }

    #[test]
    fn a_filled_group_uses_the_width() {
        let text = render(&list(40, &Piece::Fill));
        assert_eq!(text.lines().count(), 6);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
