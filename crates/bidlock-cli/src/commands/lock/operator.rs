//! `lock list`, `show`, `force-release`: what an operator sees and does.

use bidlock::{Actor, HeldLock, KeyFilter, Page, Released};
use bidlock_config::show_duration;
use serde_json::{Value, json};

use super::{key_of, key_text};
use crate::{
    app::App,
    args::{ForceReleaseArgs, LockListArgs, LockShowArgs},
    exit::Exit,
    failure::CliError,
};

/// Lists the locks that are held.
pub(super) async fn list(app: &App, args: LockListArgs) -> Result<Exit, CliError> {
    let filter = match &args.marketplace {
        None => KeyFilter::all(),
        Some(name) => {
            KeyFilter::marketplace(&bidlock_market::identity::marketplace_name(name)).map_err(|e| {
                CliError::usage(format!("--marketplace: {e}"))
                    .hint("give a marketplace's name such as upwork")
            })?
        }
    };
    let Some(locks) = app.locks_to_look_at().await? else {
        if app.out.json {
            app.out.json_document(&json!({ "locks": [] }))?;
        }
        return Ok(Exit::Ok);
    };
    let held = locks.inspect(filter, Page::first(args.limit as usize)).await?;
    if app.out.json {
        let held: Vec<Value> = held.iter().map(lock_json).collect();
        app.out.json_document(&json!({ "locks": held }))?;
        return Ok(Exit::Ok);
    }
    if held.is_empty() {
        app.out.say("no lock is held");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = held
        .iter()
        .map(|lock| {
            vec![
                key_text(&lock.key),
                lock.holder.clone(),
                lock.token.to_string(),
                show_duration(lock.held_for),
                show_duration(lock.remaining),
            ]
        })
        .collect();
    app.out.table(&["lock", "holder", "token", "held for", "remaining"], &rows)?;
    if held.len() == args.limit as usize {
        app.out.say("there may be more: raise --limit");
    }
    Ok(Exit::Ok)
}

/// Shows who holds one lock.
pub(super) async fn show(app: &App, args: LockShowArgs) -> Result<Exit, CliError> {
    let key = key_of(&args.key)?;
    let held = match app.locks_to_look_at().await? {
        Some(locks) => locks.inspect(KeyFilter::key(&key), Page::first(1)).await?.pop(),
        None => None,
    };
    if app.out.json {
        app.out.json_document(&json!({ "key": key, "held": held.as_ref().map(lock_json) }))?;
    } else {
        match &held {
            None => app.out.line(format!("{} is free", key_text(&key)))?,
            Some(lock) => app.out.fields(&[
                ("lock", key_text(&lock.key)),
                ("holder", lock.holder.clone()),
                ("token", lock.token.to_string()),
                ("held for", show_duration(lock.held_for)),
                ("remaining", show_duration(lock.remaining)),
            ])?,
        }
    }
    Ok(if held.is_some() { Exit::Held } else { Exit::Ok })
}

/// Takes a lock away from its holder.
pub(super) async fn force_release(app: &App, args: ForceReleaseArgs) -> Result<Exit, CliError> {
    let key = key_of(&args.key)?;
    let actor = Actor::new(format!("operator:{}", app.operator()), args.reason.trim())
        .map_err(|_| CliError::usage("--reason is empty").hint("say why: it stands in the audit record"))?;
    let locks = app.locks().await?;
    let before = locks.inspect(KeyFilter::key(&key), Page::first(1)).await?.pop();
    let released = locks.force_release(&key, &actor).await?;
    if app.out.json {
        let from = before.as_ref().map(lock_json);
        app.out
            .json_document(&json!({ "key": key, "released": released, "from": from, "by": actor.who() }))?;
        return Ok(Exit::Ok);
    }
    let holder = before.map_or("its holder".to_owned(), |lock| lock.holder);
    match released {
        Released::Released => app.out.line(format!("{} is taken away from {holder}", key_text(&key)))?,
        Released::Expired | Released::Stolen => {
            app.out.line(format!("{} was held by nobody", key_text(&key)))?
        }
    }
    Ok(Exit::Ok)
}

fn lock_json(lock: &HeldLock) -> Value {
    let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    json!({
        "key": lock.key,
        "holder": lock.holder,
        "token": lock.token,
        "held_for_ms": millis(lock.held_for),
        "remaining_ms": millis(lock.remaining),
    })
}
