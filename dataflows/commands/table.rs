//! Text in columns, for people.

use std::io::{self, Write};

/// Columns between which there are two spaces; a column starts at the same place in every row.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// An empty table whose columns of these numbers, from 0, stand to the right.
    pub fn right_aligned(columns: &[usize]) -> Self {
        Self { rows: Vec::new(), right: columns.to_vec() }
    }

    /// Appends a row.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        self.rows.push(cells.map(Into::into).into());
    }

    /// Writes all rows, each behind `indent`.
    ///
    /// # Errors
    /// If `out` does not take them.
    pub fn write(&self, out: &mut dyn Write, indent: &str) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                line += &if self.right.contains(&column) {
                    format!("{cell:>width$}  ")
                } else {
                    format!("{cell:<width$}  ")
                };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
