//! The statements for the columns that there are.

use bidlock_pipeline::LegacyName;
use bidlock_postgres::{
    Argument, Result, Session,
    tokio_postgres::{
        Row,
        types::{ToSql, Type},
    },
};
use jiff::Timestamp;

use crate::{
    database::{no_comments, selected},
    row::OldRow,
    shape::{DEMANDED, OPTIONAL, Shape},
    showing::{NewRow, Showing, filled, written_time},
};

/// Composed once.
#[derive(Debug)]
pub(crate) struct Statements {
    /// The whole table.
    pub(super) all: String,
    find: String,
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
        // Arguments travel as text and become what the column is.
        let cast = |n: usize, name: &str| {
            let kind = shape.column(name).map_or("text", |column| column.type_name.as_str());
            format!("CAST(CAST(${n} AS text) AS {kind})")
        };
        let filled = filled(shape);
        let names: Vec<&str> = filled.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> =
            filled.iter().enumerate().map(|(at, (name, _))| cast(at + 1, name)).collect();
        let touched = shape.column("updated_at").map(|column| column.type_name.clone());
        let touch = touched.as_ref().map(|_| format!(", updated_at = {}", cast(5, "updated_at")));
        Statements {
            all: compose(include_str!("../../queries/all.postgres.sql")),
            find: compose(include_str!("../../queries/find.postgres.sql")),
            insert: no_comments(include_str!("../../queries/insert.sql"))
                .replace("{names}", &names.join(", "))
                .replace("{values}", &values.join(", "))
                + " RETURNING 1",
            update: no_comments(include_str!("../../queries/update.sql"))
                .replace("{status}", &cast(1, "status"))
                .replace("{marketplace}", &cast(2, "marketplace"))
                .replace("{job_id}", &cast(3, "job_id"))
                .replace("{was}", &cast(4, "status"))
                .replace("{touched}", &touch.unwrap_or_default())
                + " RETURNING 1",
            delete: no_comments(include_str!("../../queries/delete.sql"))
                .replace("{marketplace}", &cast(1, "marketplace"))
                .replace("{job_id}", &cast(2, "job_id"))
                .replace("{was}", &cast(3, "status")),
            filled,
            touched,
        }
    }

    pub(super) async fn find<'a>(
        &self,
        session: &Session,
        names: impl Iterator<Item = &'a LegacyName>,
    ) -> Result<Vec<OldRow>> {
        let (marketplaces, ids): (Vec<&str>, Vec<&str>) =
            names.map(|name| (name.marketplace.as_str(), name.job_id.as_str())).unzip();
        let rows = session.query(&self.find, &[texts(&marketplaces), texts(&ids)]).await?;
        Ok(rows.iter().map(old_row).collect())
    }

    pub(super) async fn insert(
        &self,
        session: &Session,
        name: &LegacyName,
        status: &str,
        new: &NewRow,
    ) -> Result<bool> {
        let values: Vec<Option<String>> =
            self.filled.iter().map(|(column, kind)| new.value(column, kind, name, status)).collect();
        let arguments: Vec<Argument<'_>> = values.iter().map(|value| (value as _, Type::TEXT)).collect();
        Ok(!session.query(&self.insert, &arguments).await?.is_empty())
    }

    /// Whether our row was there to be brought up to date.
    pub(super) async fn update(
        &self,
        session: &Session,
        ours: &OldRow,
        status: &str,
        at: Timestamp,
    ) -> Result<bool> {
        let status = status.to_owned();
        let touched = self.touched.as_ref().map(|kind| written_time(at, kind));
        let mut arguments =
            vec![text(&status), text(&ours.marketplace), text(&ours.job_id), text(&ours.status)];
        arguments.extend(touched.as_ref().map(text));
        Ok(!session.query(&self.update, &arguments).await?.is_empty())
    }

    pub(super) async fn delete(&self, session: &Session, ours: &OldRow) -> Result<()> {
        let arguments = [text(&ours.marketplace), text(&ours.job_id), text(&ours.status)];
        session.query(&self.delete, &arguments).await?;
        let forget = no_comments(include_str!("../../queries/forget.postgres.sql"));
        session.query(&forget, &arguments[..2]).await.map(drop)
    }

    /// Notes that the row is ours, and of which claim; `false` where a later one has it.
    pub(super) async fn note(&self, session: &Session, name: &LegacyName, bid: &Showing) -> Result<bool> {
        let sql = no_comments(include_str!("../../queries/note.postgres.sql"));
        let names = [text(&name.marketplace), text(&name.job_id), text(&bid.status), text(&bid.claim)];
        let arguments: Vec<Argument<'_>> = names.into_iter().chain([(&bid.epoch as _, Type::INT8)]).collect();
        Ok(!session.query(&sql, &arguments).await?.is_empty())
    }

    /// Notes what a row of this claim says by now.
    pub(super) async fn note_status(
        &self,
        session: &Session,
        name: &LegacyName,
        status: &str,
        claim: &str,
    ) -> Result<()> {
        let (status, claim) = (status.to_owned(), claim.to_owned());
        let sql = no_comments(include_str!("../../queries/note_status.postgres.sql"));
        let arguments = [text(&name.marketplace), text(&name.job_id), text(&status), text(&claim)];
        session.query(&sql, &arguments).await.map(drop)
    }

    /// The rows that this claim mirrored last. Nobody else changes them before the transaction has ended.
    pub(super) async fn of_claim(&self, session: &Session, claim: &str) -> Result<Vec<OldRow>> {
        let claim = claim.to_owned();
        let sql = no_comments(include_str!("../../queries/of_claim.postgres.sql")) + " FOR UPDATE";
        let rows = session.query(&sql, &[text(&claim)]).await?;
        let ours = |row: &Row| OldRow {
            marketplace: row.get(0),
            job_id: row.get(1),
            status: row.get(2),
            rest: Default::default(),
            mirrored: true,
        };
        Ok(rows.iter().map(ours).collect())
    }
}

pub(super) fn text<T: ToSql + Sync>(value: &T) -> Argument<'_> {
    (value, Type::TEXT)
}

pub(super) fn texts<T: ToSql + Sync>(values: &T) -> Argument<'_> {
    (values, Type::TEXT_ARRAY)
}

pub(super) fn old_row(row: &Row) -> OldRow {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let mut rest: [Option<String>; OPTIONAL.len()] = Default::default();
    for (at, value) in rest.iter_mut().enumerate() {
        *value = text(DEMANDED.len() + at);
    }
    OldRow {
        marketplace: text(0).unwrap_or_default(),
        job_id: text(1).unwrap_or_default(),
        status: text(2).unwrap_or_default(),
        rest,
        mirrored: row.get(DEMANDED.len() + OPTIONAL.len()),
    }
}
