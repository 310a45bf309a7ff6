//! The statements for the columns that there are.

use bidlock_pipeline::LegacyName;
use jiff::Timestamp;
use rusqlite::{Connection, params, params_from_iter};

use crate::{
    database::{no_comments, selected},
    row::OldRow,
    shape::Shape,
    showing::{NewRow, Showing, filled, written_time},
};

/// Composed once.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(super) page: String,
    pub(super) find: String,
    insert: String,
    update: String,
    delete: String,
    /// The columns that `insert` fills behind the demanded ones, with their types.
    filled: Vec<(String, String)>,
    touched: Option<String>,
}

impl Statements {
    pub(super) fn new(shape: &Shape, mirrors: bool) -> Statements {
        let mirrored = if mirrors {
            no_comments(include_str!("../../queries/mirrored.sql"))
        } else {
            "FALSE".to_owned()
        };
        let compose = |text: &str| {
            no_comments(text).replace("{columns}", &selected(shape)).replace("{mirrored}", &mirrored)
        };
        let filled = filled(shape);
        let names: Vec<&str> = filled.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = (1..=filled.len()).map(|n| format!("?{n}")).collect();
        let touched = shape.column("updated_at").map(|column| column.type_name.clone());
        Statements {
            page: compose(include_str!("../../queries/page.sqlite.sql")),
            find: compose(include_str!("../../queries/find.sqlite.sql")),
            insert: no_comments(include_str!("../../queries/insert.sql"))
                .replace("{names}", &names.join(", "))
                .replace("{values}", &values.join(", ")),
            // Columns may not tell upper from lower case: a row of theirs in another case must not go with ours.
            update: no_comments(include_str!("../../queries/update.sql"))
                .replace("{status}", "?1")
                .replace("{marketplace}", "?2 COLLATE BINARY")
                .replace("{job_id}", "?3 COLLATE BINARY")
                .replace("{was}", "?4")
                .replace("{touched}", if touched.is_some() { ", updated_at = ?5" } else { "" }),
            delete: no_comments(include_str!("../../queries/delete.sql"))
                .replace("{marketplace}", "?1 COLLATE BINARY")
                .replace("{job_id}", "?2 COLLATE BINARY")
                .replace("{was}", "?3"),
            filled,
            touched,
        }
    }

    pub(super) fn insert(
        &self,
        conn: &Connection,
        name: &LegacyName,
        status: &str,
        new: &NewRow,
    ) -> rusqlite::Result<usize> {
        let values = self.filled.iter().map(|(column, kind)| new.value(column, kind, name, status));
        conn.prepare_cached(&self.insert)?.execute(params_from_iter(values))
    }

    /// Whether our row was there to be brought up to date: 0 or 1.
    pub(super) fn update(
        &self,
        conn: &Connection,
        ours: &OldRow,
        status: &str,
        at: Timestamp,
    ) -> rusqlite::Result<usize> {
        let mut values =
            vec![status.to_owned(), ours.marketplace.clone(), ours.job_id.clone(), ours.status.clone()];
        values.extend(self.touched.as_ref().map(|kind| written_time(at, kind)));
        conn.prepare_cached(&self.update)?.execute(params_from_iter(values))
    }

    pub(super) fn delete(&self, conn: &Connection, ours: &OldRow) -> rusqlite::Result<()> {
        conn.prepare_cached(&self.delete)?.execute(params![ours.marketplace, ours.job_id, ours.status])?;
        let forget = no_comments(include_str!("../../queries/forget.sqlite.sql"));
        conn.prepare_cached(&forget)?.execute(params![ours.marketplace, ours.job_id])?;
        Ok(())
    }

    /// Notes that the row is ours, and of which claim; `false` where a later one has it.
    pub(super) fn note(&self, conn: &Connection, name: &LegacyName, bid: &Showing) -> rusqlite::Result<bool> {
        let note = no_comments(include_str!("../../queries/note.sqlite.sql"));
        let values = params![name.marketplace, name.job_id, bid.status, bid.claim, bid.epoch];
        conn.prepare_cached(&note)?.exists(values)
    }

    /// Notes what a row of this claim says by now.
    pub(super) fn note_status(
        &self,
        conn: &Connection,
        name: &LegacyName,
        status: &str,
        claim: &str,
    ) -> rusqlite::Result<()> {
        let note = no_comments(include_str!("../../queries/note_status.sqlite.sql"));
        conn.prepare_cached(&note)?.execute(params![name.marketplace, name.job_id, status, claim])?;
        Ok(())
    }

    /// The rows that this claim mirrored last.
    pub(super) fn of_claim(&self, conn: &Connection, claim: &str) -> rusqlite::Result<Vec<OldRow>> {
        let mut statement = conn.prepare_cached(include_str!("../../queries/of_claim.sqlite.sql"))?;
        let rows = statement.query_map([claim], |row| {
            Ok(OldRow {
                marketplace: row.get(0)?,
                job_id: row.get(1)?,
                status: row.get(2)?,
                rest: Default::default(),
                mirrored: true,
            })
        })?;
        rows.collect()
    }
}
