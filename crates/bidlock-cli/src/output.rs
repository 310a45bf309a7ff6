//! What is written where: stdout is data, stderr is talk.
//!
//! On a terminal data are tables; with `--json` they are JSON. Colour only on a terminal and never with
//! `NO_COLOR` or `--no-color`. A closed pipe on stdout ends the command quietly.

use std::io::{IsTerminal, Write};

use bidlock_ledger::Money;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::CliError;

/// A first column up to this width is never broken over lines: a bid's id has 36 characters.
const MAX_UNBROKEN: usize = 48;

/// The columns that hold points in time.
const TIMES: [&str; 2] = ["made", "at"];

/// How to write, as the command line and the terminal say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Data as JSON.
    pub(crate) json: bool,
    /// Less talk.
    pub(crate) quiet: bool,
    /// stdout is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Colour may be used.
    pub(crate) color: bool,
}

impl Output {
    /// As the flags and the terminal say.
    pub(crate) fn new(json: bool, quiet: bool, no_color: bool) -> Output {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let stderr_terminal = std::io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Output {
            json,
            quiet,
            stdout_terminal: std::io::stdout().is_terminal(),
            color: stderr_terminal && !no_color && !set("NO_COLOR") && !dumb,
        }
    }

    /// One line of data.
    ///
    /// # Errors
    /// stdout is closed ([`CliError::closed_pipe`]) or can't be written.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_ref().as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        Ok(())
    }

    /// One JSON value on one line: for streams of events.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        self.line(to_json(value, false)?)
    }

    /// One JSON document: spread over lines on a terminal.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json_document(&self, value: &impl Serialize) -> Result<(), CliError> {
        self.line(to_json(value, self.stdout_terminal)?)
    }

    /// A table: fitted to the terminal's width there, tab-separated without frame in a pipe.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        if !self.stdout_terminal {
            // A pipe gets what `cut` and `awk` can read; what would break a line or a column is blanked.
            let plain = |cells: &[String]| {
                cells.iter().map(|c| c.replace(['\t', '\n', '\r'], " ")).collect::<Vec<_>>().join("\t")
            };
            self.line(header.join("\t"))?;
            return rows.iter().try_for_each(|row| self.line(plain(row)));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        believe_no_width_of_nothing(&mut table);
        table.set_header(header.iter().map(|h| self.bold(&h.to_uppercase())).collect::<Vec<_>>());
        for row in rows {
            table.add_row(row.iter().map(|c| printable(c)).collect::<Vec<_>>());
        }
        keep_whole(&mut table, header, rows);
        self.line(table.to_string())
    }

    /// Names and values, one a line.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn fields(&self, fields: &[(&str, String)]) -> Result<(), CliError> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        fields.iter().try_for_each(|(name, value)| self.line(format!("{name:width$}  {}", printable(value))))
    }

    /// Talk for the person at the terminal: stderr, silent with `-q`.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.stderr_line(text.as_ref());
        }
    }

    /// A warning: stderr, also with `-q`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        if self.json {
            self.stderr_line(&serde_json::json!({ "warning": text }).to_string());
        } else {
            self.stderr_line(&format!("{} {text}", self.paint("warning:", anstyle::AnsiColor::Yellow)));
        }
    }

    /// The error at the end: stderr, as text or as one JSON object.
    pub(crate) fn error(&self, error: &CliError) {
        if self.json {
            self.stderr_line(&error.to_json().to_string());
            return;
        }
        let head = self.paint("error:", anstyle::AnsiColor::Red);
        self.stderr_line(&format!("{head} {}", printable(&error.message)));
        if let Some(hint) = &error.hint {
            let head = self.paint("hint:", anstyle::AnsiColor::Cyan);
            self.stderr_line(&format!("{head} {}", printable(hint)));
        }
    }

    fn bold(&self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.color { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn paint(&self, text: &str, color: anstyle::AnsiColor) -> String {
        if !self.color {
            return text.to_owned();
        }
        let style = anstyle::Style::new().bold().fg_color(Some(color.into()));
        format!("{style}{text}{style:#}")
    }

    /// A closed stderr is nothing that could be reported anywhere.
    fn stderr_line(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.write_all(b"\n");
    }
}

/// Some terminals (serial lines, `script`, CI) say that they have no columns: a letter a line would be all that fits.
fn believe_no_width_of_nothing(table: &mut Table) {
    /// No table is readable in fewer columns.
    const LEAST: u16 = 20;
    /// What terminals have that say nothing.
    const USUAL: u16 = 80;
    if table.width().is_some_and(|columns| columns < LEAST) {
        table.set_width(USUAL);
    }
}

/// Names in the first column are for copying, and a time is read at a glance: neither is broken over lines, unless
/// it would fill the screen.
fn keep_whole(table: &mut Table, header: &[&str], rows: &[Vec<String>]) {
    for (index, name) in header.iter().enumerate().filter(|(i, name)| *i == 0 || TIMES.contains(name)) {
        let longest =
            rows.iter().filter_map(|row| row.get(index)).map(|c| c.chars().count()).max().unwrap_or(0);
        if let Some(column) = table.column_mut(index).filter(|_| longest.max(name.len()) <= MAX_UNBROKEN) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Text from outside without control characters, so that a posting's title can't drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// `12.50 USD`.
pub(crate) fn money(money: Option<Money>) -> String {
    let Some(Money { minor, currency }) = money else { return "none".to_owned() };
    let digits = iso_currency::Currency::from_code(currency.as_str())
        .and_then(|c| c.exponent())
        .map_or(2, usize::from);
    let sign = if minor < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let point = if digits == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction} {currency}")
}

fn to_json(value: &impl Serialize, pretty: bool) -> Result<String, CliError> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|e| CliError::unavailable(format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::Currency;

    use super::*;

    #[test]
    fn names_and_times_are_not_broken_over_lines() {
        let header = ["bid", "posting", "made", "why"];
        let row = ["0199c3f2-1234-7000", &"x".repeat(30), "2026-03-01T12:00:00Z", &"why ".repeat(20)];
        let rows = vec![row.map(str::to_owned).to_vec()];
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(70);
        table.set_header(header).add_row(&rows[0]);
        keep_whole(&mut table, &header, &rows);
        let text = table.to_string();
        assert!(text.contains(row[0]) && text.contains(row[2]), "{text}");
    }

    #[test]
    fn a_terminal_without_columns_gets_whole_words() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(0);
        believe_no_width_of_nothing(&mut table);
        table.set_header(["check", "found"]).add_row(["configuration", "no file; defaults"]);
        let text = table.to_string();
        assert!(text.contains("configuration") && text.contains("no file; defaults"), "{text}");
    }

    #[test]
    fn money_is_written_with_its_currencys_digits() {
        let of = |minor, code| money(Some(Money { minor, currency: Currency::new(code).unwrap() }));
        assert_eq!(of(1_250, "USD"), "12.50 USD");
        assert_eq!(of(5, "USD"), "0.05 USD");
        assert_eq!(of(-5, "USD"), "-0.05 USD");
        assert_eq!(of(1_250, "JPY"), "1250 JPY");
        assert_eq!(of(1_250, "KWD"), "1.250 KWD");
        assert_eq!(money(None), "none");
    }
}
