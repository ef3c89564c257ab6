//! Results as Markdown, readable as they are.

use std::fmt;

use crate::Result;

/// A titled table whose first column is text and whose others are figures.
pub struct Table {
    title: String,
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub fn new(title: impl Into<String>, headings: &[&'static str]) -> Self {
        Self { title: title.into(), headings: headings.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row and says on standard error how far the run is.
    pub fn row(&mut self, cells: Vec<String>) {
        eprintln!("  {}", cells.join(" · "));
        self.rows.push(cells);
    }

    /// Adds a measured row, or one that says that it failed, with the reason below the table.
    pub fn measured(&mut self, name: &[String], cells: Result<Vec<String>>) -> bool {
        let worked = cells.is_ok();
        let figures = cells.unwrap_or_else(|error| {
            self.note(format!("{}: {error}", name.join(", ")));
            self.blank(name.len(), "failed")
        });
        self.row(name.iter().cloned().chain(figures).collect());
        worked
    }

    /// Adds the row of a server that is not there.
    pub fn absent(&mut self, name: &[String]) {
        let cells = self.blank(name.len(), "absent");
        self.row(name.iter().cloned().chain(cells).collect());
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn blank(&self, named: usize, word: &str) -> Vec<String> {
        let mut cells = vec!["–".to_owned(); self.headings.len().saturating_sub(named)];
        if let Some(first) = cells.first_mut() {
            word.clone_into(first);
        }
        cells
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (self.headings.iter().enumerate())
            .map(|(column, heading)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                cells.chain([heading.chars().count(), 3]).max().unwrap_or(3)
            })
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &mut dyn Iterator<Item = &str>| {
            for (column, (cell, width)) in cells.zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")
        };
        writeln!(f, "### {}\n", self.title)?;
        line(f, &mut self.headings.iter().copied())?;
        for (column, width) in widths.iter().enumerate() {
            match column {
                0 => write!(f, "|:{:-<width$}-", "")?,
                _ => write!(f, "|-{:-<width$}:", "")?,
            }
        }
        writeln!(f, "|")?;
        for row in &self.rows {
            line(f, &mut row.iter().map(String::as_str))?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

/// A whole number with thousands set apart.
pub fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds, with a decimal while they are few.
pub fn millis(number: f64) -> String {
    match number < 100.0 {
        true => format!("{number:.1}"),
        false => whole(number),
    }
}

/// A share in per cent; 100 % only if nothing is missing.
pub fn share(part: u64, of: u64) -> String {
    match part == of {
        true => "100 %".to_owned(),
        false => format!("{:.2} %", (part as f64 * 10_000.0 / of as f64).floor() / 100.0),
    }
}

/// The middle of some measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
