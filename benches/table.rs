//! The table that `make bench` prints, a row at a time, as Markdown: what was measured, what stood beside it in the same run, and the goals.

use std::io::Write;

use super::measure::{Spread, shown};

/// One thing that was measured.
pub struct Row {
    what: String,
    measured: String,
    beside: Vec<String>,
    goals: Vec<(String, bool)>,
}

impl Row {
    /// `what` ends with the unit.
    pub fn new(what: impl Into<String>, measured: Spread) -> Self {
        Self::said(what, measured.to_string())
    }

    /// A row that says something other than a spread.
    pub fn said(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), beside: Vec::new(), goals: Vec::new() }
    }

    pub fn beside(mut self, text: impl Into<String>) -> Self {
        self.beside.push(text.into());
        self
    }

    pub fn goal(mut self, text: impl Into<String>, is_met: bool) -> Self {
        self.goals.push((text.into(), is_met));
        self
    }

    pub fn at_most(self, found: f64, most: f64) -> Self {
        self.goal(format!("at most {}", shown(most)), found <= most)
    }

    pub fn at_least(self, found: f64, least: f64) -> Self {
        self.goal(format!("at least {}", shown(least)), found >= least)
    }
}

/// Where rows go, and how many goals they met.
pub struct Table<'a> {
    out: &'a mut dyn Write,
    met: usize,
    missed: usize,
}

impl<'a> Table<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        let mut table = Self { out, met: 0, missed: 0 };
        table.line(&["what", "least, median, most", "beside it in the same run", "goals"].map(str::to_owned));
        table.write("|---|---|---|---|\n");
        table
    }

    pub fn add(&mut self, row: Row) {
        let goals: Vec<String> = row.goals.iter().map(|(text, is_met)| format!("{text}: {}", if *is_met { "met" } else { "MISSED" })).collect();
        self.met += row.goals.iter().filter(|(_, is_met)| *is_met).count();
        self.missed += row.goals.iter().filter(|(_, is_met)| !is_met).count();
        self.line(&[row.what, row.measured, row.beside.join("; "), goals.join("; ")]);
    }

    /// The line below the table.
    pub fn end(mut self) {
        let (met, missed) = (self.met, self.missed);
        self.write(&format!("\n{met} goals met, {missed} missed.\n"));
    }

    fn line(&mut self, cells: &[String; 4]) {
        let [what, measured, beside, goals] = cells;
        self.write(&format!("| {what:<52} | {measured:<22} | {beside} | {goals} |\n"));
    }

    fn write(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).expect("somewhere to write to");
    }
}
