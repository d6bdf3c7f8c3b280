//! Figures of several runs.

use std::fmt;

/// The least, the middle and the greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (first, last) = (figures.first().expect("some run"), figures.last().expect("some run"));
        Self { min: *first, median: figures[figures.len() / 2], max: *last }
    }
}

/// `min median max`, as many places after the point as asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let width = f.width().unwrap_or(0);
        write!(f, "{:width$.places$} {:width$.places$} {:width$.places$}", self.min, self.median, self.max)
    }
}

/// A number from the environment.
pub fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: write a whole number")))
}
