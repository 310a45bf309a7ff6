//! `lock acquire`, `renew`, `release`: a lease that outlives the process that took it.
//!
//! The lease is written as one word, `lease:NONCE:TOKEN:HOLDER:KEY`, which is all that the engine compares.
//! Whoever has the word has the lease.

use std::{sync::Arc, time::Duration};

use bidlock::{
    Acquire, Acquired, FencingToken, Grant, HolderId, LockBackend, LockKey, Nonce, Released, Renewed,
};
use bidlock_config::{LockPlace, show_duration};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use super::{held, key_of, key_text};
use crate::{
    app::App,
    args::{AcquireArgs, ReleaseArgs, RenewArgs},
    exit::Exit,
    failure::CliError,
};

/// The first pause between two tries for a held lock.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Takes the lock and prints the lease.
pub(super) async fn acquire(app: &App, args: AcquireArgs) -> Result<Exit, CliError> {
    let key = key_of(&args.key)?;
    let backend = shared_backend(app).await?;
    let (ttl, wait) = (app.config()?.lock.ttl, app.config()?.lock.timeout);
    let request = Acquire {
        key: key.clone(),
        holder: app.holder()?,
        nonce: Nonce::from_bytes(*uuid::Uuid::new_v4().as_bytes()),
        ttl,
    };
    let grant = match wait_for(app, backend.as_ref(), request, wait).await? {
        Acquired::Granted(grant) => grant,
        Acquired::Held(other) => return Err(held(&key, &other)),
    };
    let word = write_lease(&grant);
    if app.out.json {
        app.out.json_document(&json!({
            "lease": word,
            "key": grant.key,
            "holder": grant.holder.as_str(),
            "token": grant.token,
            "ttl_ms": millis(ttl),
        }))?;
    } else {
        app.out.fields(&[
            ("lease", word),
            ("lock", key_text(&key)),
            ("holder", grant.holder.as_str().to_owned()),
            ("token", grant.token.to_string()),
            ("remaining", show_duration(ttl)),
        ])?;
    }
    Ok(Exit::Ok)
}

/// Asks, and asks again while it is held, with the same nonce: a lost answer is resolved by the engine.
async fn wait_for(
    app: &App,
    backend: &dyn LockBackend,
    request: Acquire,
    wait: Duration,
) -> Result<Acquired, CliError> {
    let until = tokio::time::sleep(wait);
    tokio::pin!(until);
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        // The same nonce each time: a grant whose answer was lost is granted again.
        let answer = backend.try_acquire(std::slice::from_ref(&request)).await?.pop();
        let other = match answer {
            Some(Acquired::Held(other)) => other,
            Some(granted) => return Ok(granted),
            None => return Err(no_answer()),
        };
        if until.is_elapsed() || wait.is_zero() {
            return Ok(Acquired::Held(other));
        }
        if !std::mem::replace(&mut told, true) {
            app.out.say(format!(
                "{} is held by {}; waiting up to {}",
                key_text(&request.key),
                other.holder,
                show_duration(wait)
            ));
        }
        tokio::select! {
            () = &mut until => {}
            () = tokio::time::sleep(pause.min(other.remaining.max(FIRST_PAUSE))) => {}
        }
        pause = (pause * 3 / 2).min(MAX_PAUSE);
    }
}

/// Lets the lease last longer.
pub(super) async fn renew(app: &App, args: RenewArgs) -> Result<Exit, CliError> {
    let grant = read_lease(&args.lease)?;
    let backend = shared_backend(app).await?;
    let ttl = app.config()?.lock.ttl;
    let renewed = backend.renew(std::slice::from_ref(&grant), ttl).await?.pop().ok_or_else(no_answer)?;
    if renewed == Renewed::Lost {
        return Err(lost(&grant));
    }
    if app.out.json {
        app.out.json_document(&json!({ "renewed": true, "key": grant.key, "ttl_ms": millis(ttl) }))?;
    } else {
        app.out.line(format!("{} is held for another {}", key_text(&grant.key), show_duration(ttl)))?;
    }
    Ok(Exit::Ok)
}

/// Gives the lease back.
pub(super) async fn release(app: &App, args: ReleaseArgs) -> Result<Exit, CliError> {
    let grant = read_lease(&args.lease)?;
    let backend = shared_backend(app).await?;
    let released = backend.release(std::slice::from_ref(&grant)).await?.pop().ok_or_else(no_answer)?;
    if app.out.json {
        app.out.json_document(&json!({ "released": released, "key": grant.key }))?;
        return Ok(if released == Released::Stolen { Exit::Held } else { Exit::Ok });
    }
    let name = key_text(&grant.key);
    match released {
        Released::Released => app.out.line(format!("{name} is released"))?,
        Released::Expired => {
            app.out.line(format!("{name} was held no more: the lease had expired or was released before"))?
        }
        Released::Stolen => return Err(lost(&grant)),
    }
    Ok(Exit::Ok)
}

fn lost(grant: &Grant) -> CliError {
    CliError::new(
        Exit::Held,
        format!("the lease of {} is lost: it expired, or was taken away", key_text(&grant.key)),
    )
    .hint("others may have worked on it meanwhile; `bidlock lock show` says who holds it now")
}

/// The configured engine, unless its locks would end with this process.
async fn shared_backend(app: &App) -> Result<Arc<dyn LockBackend>, CliError> {
    if app.config()?.lock_choice()?.place == LockPlace::Memory {
        return Err(CliError::usage(
            "locks in memory end with this command, so no lease could be given back",
        )
        .hint("use `bidlock lock run`, or locks that outlive it: --locks FILE or a server's URL"));
    }
    app.lock_backend().await
}

fn no_answer() -> CliError {
    CliError::unavailable("the locks gave no answer").hint("this is a fault of bidlock; please report it")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The lease as one word.
fn write_lease(grant: &Grant) -> String {
    let nonce = uuid::Uuid::from_bytes(grant.nonce.to_bytes());
    let holder = utf8_percent_encode(grant.holder.as_str(), NON_ALPHANUMERIC);
    let key = utf8_percent_encode(grant.key.as_str(), NON_ALPHANUMERIC);
    format!("lease:{}:{}:{holder}:{key}", nonce.simple(), grant.token)
}

/// The lease that the word names.
fn read_lease(text: &str) -> Result<Grant, CliError> {
    let wrong = || {
        CliError::usage("this is no lease")
            .hint("give the whole word that `bidlock lock acquire` printed: lease:…")
    };
    let parts: Vec<&str> = text.trim().split(':').collect();
    let ["lease", nonce, token, holder, key] = parts.as_slice() else { return Err(wrong()) };
    let plain =
        |text: &str| percent_decode_str(text).decode_utf8().map(|t| t.into_owned()).map_err(|_| wrong());
    let nonce = uuid::Uuid::parse_str(nonce).map_err(|_| wrong())?;
    Ok(Grant {
        key: LockKey::parse(&plain(key)?).map_err(|_| wrong())?,
        holder: HolderId::named(&plain(holder)?).map_err(|_| wrong())?,
        nonce: Nonce::from_bytes(*nonce.as_bytes()),
        token: FencingToken::new(token.parse().map_err(|_| wrong())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_one_word_that_reads_back() {
        for (marketplace, posting) in [("upwork", "1"), ("a b", "job:{1}%2F日本 'x'"), ("m", "a:b:c")] {
            let grant = Grant {
                key: LockKey::posting(marketplace, posting).unwrap(),
                holder: HolderId::named("host:1:ab cd'\"$").unwrap(),
                nonce: Nonce::from_bytes([7; 16]),
                token: FencingToken::new(u64::MAX),
            };
            let word = write_lease(&grant);
            assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || c == ':' || c == '%'), "{word}");
            let back = read_lease(&word).unwrap();
            assert_eq!((back.key, back.nonce, back.token), (grant.key, grant.nonce, grant.token));
            assert_eq!(back.holder.as_str(), grant.holder.as_str());
        }
        for bad in ["", "lease:", "lease:x:1:h:k", "lease:00000000000000000000000000000000:1:h:no-key"] {
            assert!(read_lease(bad).is_err(), "{bad}");
        }
    }
}
