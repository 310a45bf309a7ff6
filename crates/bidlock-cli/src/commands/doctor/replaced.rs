//! The replaced system: what the ledger remembers of it, and whether a scan could work beside its instances.

use bidlock_config::LockPlace;
use bidlock_ledger::Actor;
use bidlock_legacy::{Coexistence, Instances, LegacyDatabase, Look, look::MOST_COUNTED};

use super::Check;
use crate::{
    app::{Access, App},
    commands::{beside, migrate, new_ledger},
    failure::CliError,
};

/// The rows' names, also where a check fails.
const NAME: &str = "replaced system";
const DATABASE: &str = "old table";
const LOCKS: &str = "locks of old instances";

/// All rows about it; none where there is nothing to replace.
pub(super) async fn replaced(app: &App) -> Vec<Check> {
    let known = match remembered(app).await {
        Ok(known) => known,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    let mut checks: Vec<Check> = known.systems().iter().map(said).collect();
    if let Err(error) = new_ledger::refuse_a_database_of_old_bids(app, &known).await {
        checks.push(Check::failed(NAME, error));
    }
    let database = match beside::place(app) {
        Ok(None) => None,
        Ok(Some(place)) => Some(LegacyDatabase::open(&place, Actor::operator(&app.operator())).await),
        Err(error) => return vec![Check::failed(DATABASE, error)],
    };
    let named = match database {
        None => None,
        Some(Ok(database)) => {
            checks.push(table(app, &database).await);
            Some(database)
        }
        Some(Err(error)) => {
            let origin = app.config().map(|config| config.named("legacy.url")).unwrap_or_default();
            checks.push(Check::failed(DATABASE, beside::refused(&origin, error)));
            return checks;
        }
    };
    if let Some(system) = known.running_besides(named.as_ref()) {
        checks.push(Check::warning(
            NAME,
            format!("a scan that sends is refused here: it does not name {}", system.place),
            format!(
                "set legacy.url or give --legacy-database; or say that it has stopped: {}",
                beside::way_to_stop(system)
            ),
        ));
    }
    let stopped = |database: &LegacyDatabase| {
        known.find(database.identity()).is_some_and(|system| system.instances == Instances::Stopped)
    };
    checks.extend(named.filter(|database| !stopped(database)).map(|_| locks(app)));
    checks
}

/// Nothing where there is no ledger yet, or none that can be read: its own row says so.
async fn remembered(app: &App) -> Result<Coexistence, CliError> {
    let schema = migrate::schema(app, &app.config()?.ledger_place()?).await;
    if !schema.is_ok_and(|schema| schema.found == Some(schema.latest)) {
        return Ok(Coexistence::default());
    }
    let ledger = app.ledger(Access::ReadOnly).await?;
    Ok(Coexistence::of(&*ledger).await?)
}

fn said(system: &bidlock_legacy::System) -> Check {
    let told = beside::told(system);
    Check::ok(
        NAME,
        match system.instances {
            Instances::Running => format!("instances may run: {told}"),
            Instances::Stopped => format!("stopped: {told}"),
        },
    )
}

async fn table(app: &App, database: &LegacyDatabase) -> Check {
    let Look { rows, ours, wanting } = match database.look().await {
        Ok(look) => look,
        Err(error) => {
            let origin = app.config().map(|config| config.named("legacy.url")).unwrap_or_default();
            return Check::failed(DATABASE, beside::refused(&origin, error));
        }
    };
    let counted = |rows: u64| {
        if rows >= MOST_COUNTED { format!("{MOST_COUNTED} or more") } else { rows.to_string() }
    };
    let ours = match ours {
        Some(ours) => format!("{} of them ours", counted(ours)),
        None => "none of them ours yet".to_owned(),
    };
    let found = format!("{}: {} rows, {ours}", database.place(), counted(rows));
    if wanting.is_empty() {
        return Check::ok(DATABASE, found);
    }
    Check::unhealthy(
        DATABASE,
        format!("{found}; a scan beside old instances is refused: {}", wanting.join("; ")),
        "docs/migrating.md, \"Coexistence\", says what it needs there",
    )
}

/// Where old instances must lock.
fn locks(app: &App) -> Check {
    let Ok(choice) = app.config().and_then(|config| Ok(config.lock_choice()?)) else {
        return Check::skipped(LOCKS, "see the locks' own row");
    };
    match (&choice.place, beside::meets_old_instances(app)) {
        (_, Err(error)) => Check::failed(LOCKS, error),
        (LockPlace::Redis(url), Ok(())) => Check::ok(
            LOCKS,
            format!(
                "must be at {url} as well, same server and database number; nothing here can prove that they are"
            ),
        ),
        (_, Ok(())) => Check::skipped(LOCKS, "see the locks' own row"),
    }
}
