//! `bidlock doctor`: is everything fit to run, and what to do where it is not.

mod ledger;
mod locks;
mod place;
mod replaced;
mod surroundings;

use serde::Serialize;
use serde_json::json;

use crate::{app::App, args::DoctorArgs, exit::Exit, failure::CliError};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Fit.
    Ok,
    /// Nothing to check yet, or nothing configured.
    Skipped,
    /// Works, but a person should know.
    Warning,
    /// Does not work, or must not stay so.
    Unhealthy,
}

/// One row of the report.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// What was looked at.
    check: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What to do about it.
    way_out: Option<String>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Check {
        Check { check, status: Status::Ok, found: found.into(), way_out: None }
    }

    fn skipped(check: &'static str, found: impl Into<String>) -> Check {
        Check { check, status: Status::Skipped, found: found.into(), way_out: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Check {
        Check { check, status: Status::Warning, found: found.into(), way_out: Some(way_out.into()) }
    }

    fn unhealthy(check: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Check {
        Check { check, status: Status::Unhealthy, found: found.into(), way_out: Some(way_out.into()) }
    }

    /// An error of the rest of the program as a row.
    fn failed(check: &'static str, error: CliError) -> Check {
        let way_out = error.hint.unwrap_or_else(|| "see the message".to_owned());
        Check::unhealthy(check, error.message, way_out)
    }
}

/// Runs every check, also after one has failed.
pub(crate) async fn run(app: &App, _args: DoctorArgs) -> Result<Exit, CliError> {
    let mut checks = vec![surroundings::configuration(app), surroundings::clock()];
    // Without a configuration nobody knows where the rest would be.
    if app.config().is_ok() {
        checks.extend(place::data_folder(app));
        checks.extend(ledger::ledger(app).await);
        checks.extend(locks::locks(app).await);
        checks.extend(replaced::replaced(app).await);
        checks.push(surroundings::marketplace(app).await);
    }
    let unhealthy = checks.iter().filter(|c| c.status == Status::Unhealthy).count();
    let warnings = checks.iter().filter(|c| c.status == Status::Warning).count();
    if app.out.json {
        app.out.json_document(&json!({ "healthy": unhealthy == 0, "checks": checks }))?;
    } else {
        let rows: Vec<Vec<String>> = checks
            .into_iter()
            .map(|c| {
                vec![c.check.to_owned(), word(c.status).to_owned(), c.found, c.way_out.unwrap_or_default()]
            })
            .collect();
        app.out.table(&["check", "status", "found", "way out"], &rows)?;
        app.out.say(match (unhealthy, warnings) {
            (0, 0) => "everything is fit to run".to_owned(),
            (0, n) => format!("fit to run; {n} warning{}", if n == 1 { "" } else { "s" }),
            (n, _) => format!("{n} of the checks found something unhealthy"),
        });
    }
    Ok(if unhealthy == 0 { Exit::Ok } else { Exit::Unhealthy })
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Skipped => "-",
        Status::Warning => "WARNING",
        Status::Unhealthy => "UNHEALTHY",
    }
}
