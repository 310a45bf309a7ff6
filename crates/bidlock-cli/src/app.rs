//! [`App`]: what every command works with, made from the command line once. Nothing is read or opened before
//! a command asks for it, so that `completions` works with a broken configuration.

use std::{cell::OnceCell, sync::Arc};

use bidlock::backends::redis::RedisOptions;
use bidlock::layers::fallback::{Fallback, FallbackStatus};
use bidlock::{HolderId, LockBackend, LockManager, Shared};
use bidlock_config::{Config, LedgerPlace, LockPlace, Override, Surroundings};
use bidlock_ledger::LedgerStore;
use bidlock_market::{HttpOptions, Marketplace, Target, place_of};
use bidlock_pipeline::Stop;

use crate::{
    args::GlobalArgs,
    binding::{self, Binding, Bound},
    engines::ENGINES,
    failure::{CliError, chain_of},
    output::Output,
};

/// Whether a command writes to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only reads: a ledger that does not exist is an error, not made.
    ReadOnly,
    /// It writes, but only to what is there: a ledger that does not exist is an error.
    Existing,
    /// It writes: a ledger that does not exist is made.
    ReadWrite,
}

/// What every command works with.
#[derive(Debug)]
pub(crate) struct App {
    /// Where data, talk and errors go.
    pub(crate) out: Output,
    global: GlobalArgs,
    overrides: Vec<Override>,
    config: OnceCell<Config>,
    holder: OnceCell<HolderId>,
    /// Where the locks have another engine to fall back to.
    fallback: OnceCell<Fallback>,
}

impl App {
    /// From the command line.
    pub(crate) fn new(global: GlobalArgs, overrides: Vec<Override>) -> App {
        let out = Output::new(global.json, global.quiet, global.no_color);
        App {
            out,
            global,
            overrides,
            config: OnceCell::new(),
            holder: OnceCell::new(),
            fallback: OnceCell::new(),
        }
    }

    /// The configuration, with this command's flags as its first layer. Warnings are said once.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub(crate) fn config(&self) -> Result<&Config, CliError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let file = self.global.config.as_deref();
        let config = Config::load(Surroundings::of_this_process(), file, &self.overrides, ENGINES)?;
        config.warnings.iter().for_each(|w| self.out.warn(w));
        Ok(self.config.get_or_init(|| config))
    }

    /// How much is logged: `-q`, `-v`, `-vv`, else `log.level`.
    pub(crate) fn verbosity(&self) -> Option<&'static str> {
        match (self.global.quiet, self.global.verbose) {
            (true, _) => Some("warn"),
            (false, 0) => None,
            (false, 1) => Some("info"),
            (false, _) => Some("debug"),
        }
    }

    /// Opens the ledger.
    ///
    /// # Errors
    /// The settings choose none, or it can't be opened.
    pub(crate) async fn ledger(&self, access: Access) -> Result<Arc<dyn LedgerStore>, CliError> {
        let config = self.config()?;
        let place = config.ledger_place()?;
        let (ledger, made) = crate::stores::open_ledger(&place, access, &config.named("ledger.url")).await?;
        if made {
            self.out.say(format!("made a new ledger at {place}"));
        }
        Ok(ledger)
    }

    /// Opens the engine of the locks, and says what is odd about the choice.
    ///
    /// # Errors
    /// A setting can't be understood, or the engine can't be opened.
    pub(crate) async fn lock_backend(&self) -> Result<Arc<dyn LockBackend>, CliError> {
        let choice = self.config()?.lock_choice()?;
        choice.notes.iter().for_each(|note| self.out.say(format!("note: {note}")));
        match choice.place {
            LockPlace::Memory => self.out.warn(
                "locks are in memory: they hold within this process alone (the ledger still makes second bids impossible)",
            ),
            LockPlace::GrantAll => {
                self.out.warn("the locks grant everything to everybody: for tests of the ledger only");
            }
            LockPlace::Sqlite(_) | LockPlace::Redis(_) | LockPlace::Postgres(_) => {}
        }
        let (backend, fallback) = crate::fallback::open(self.config()?, &choice).await?;
        if let Some(fallback) = fallback {
            let _ = self.fallback.set(fallback); // a command opens its locks once
        }
        Ok(backend)
    }

    /// Whether another engine stands in for that of the locks, where one can and they have been opened.
    pub(crate) fn fallback_status(&self) -> Option<FallbackStatus> {
        self.fallback.get().map(Fallback::status)
    }

    /// Opens the locks under this process's name.
    ///
    /// # Errors
    /// As [`App::lock_backend`].
    pub(crate) async fn locks(&self) -> Result<LockManager, CliError> {
        let backend = self.lock_backend().await?;
        crate::stores::lock_manager(backend, self.config()?, &self.holder()?)
    }

    /// Opens the ledger of a scan that sends. A new one is not made where the locks serve another, unless `rebind` says that
    /// they are to serve it.
    ///
    /// # Errors
    /// It can't be opened, or would be refused by the locks.
    pub(crate) async fn ledger_to_send(&self, rebind: bool) -> Result<Arc<dyn LedgerStore>, CliError> {
        let config = self.config()?;
        let (place, choice) = (config.ledger_place()?, config.lock_choice()?);
        if let LockPlace::Redis(server) = &choice.place
            && !rebind
            && crate::commands::migrate::schema(self, &place).await?.found.is_none()
        {
            let named = config.named("ledger.url");
            let development = config.is_development();
            let looked =
                binding::look_before_a_new_ledger((&place, &named), (server, &choice), development).await;
            // Where another scanner has made it meanwhile, the locks speak of that one: what is opened is asked below.
            if let Err(error) = looked
                && crate::commands::migrate::schema(self, &place).await?.found.is_none()
            {
                return Err(error);
            }
        }
        self.ledger(Access::ReadWrite).await
    }

    /// Opens the locks of a scan that sends: they serve this ledger and no other. With `rebind`, they serve it from now on,
    /// so ask for it last, when nothing else can refuse the scan. The scan is stopped if that changes while the binding lives.
    ///
    /// # Errors
    /// They can't be opened, or serve another ledger.
    pub(crate) async fn locks_to_send(
        &self,
        ledger: &dyn LedgerStore,
        rebind: bool,
        stop: &Stop,
    ) -> Result<(LockManager, Binding), CliError> {
        let config = self.config()?;
        let (place, choice) = (config.ledger_place()?, config.lock_choice()?);
        let backend = self.lock_backend().await?;
        if backend.capability().shared == Shared::Fleet && matches!(place, LedgerPlace::Sqlite(_)) {
            self.out.warn(format!(
                "locks are shared between hosts ({}), but the ledger is a file of this host ({place}): scanners of \
                 another host have another ledger, are refused by these locks, and would bid again without them. For \
                 several hosts set DATABASE_URL=postgres://…",
                choice.place
            ));
        }
        let bound = self.bound(ledger)?;
        binding::bind(backend.as_ref(), ledger, &bound, rebind).await?;
        let binding = Binding::keep(Arc::clone(&backend), bound, stop.clone());
        let locks = crate::stores::lock_manager(backend, config, &self.holder()?)?;
        Ok((locks, binding))
    }

    /// Refuses to work on a ledger that the locks do not serve, as far as they can be asked: `reconcile` needs no
    /// locks, and goes on without them.
    ///
    /// # Errors
    /// The locks serve another ledger, or a setting can't be understood.
    pub(crate) async fn serve_this_ledger(
        &self,
        ledger: &dyn LedgerStore,
        rebind: bool,
    ) -> Result<(), CliError> {
        let choice = self.config()?.lock_choice()?;
        if !matches!(choice.place, LockPlace::Redis(_)) {
            return Ok(()); // no other engine keeps the id
        }
        let bound = self.bound(ledger)?;
        let asked = async {
            let backend = crate::stores::open_lock_backend(&choice).await?;
            binding::bind(backend.as_ref(), ledger, &bound, rebind).await
        };
        match asked.await {
            Err(error) if error.code == crate::exit::Exit::Unavailable => {
                self.out.warn(format!("which ledger the locks serve is not known: {error}"));
                Ok(())
            }
            other => other,
        }
    }

    /// Which ledger and which locks belong together here.
    ///
    /// # Errors
    /// The settings choose none.
    pub(crate) fn bound(&self, ledger: &dyn LedgerStore) -> Result<Bound, CliError> {
        let config = self.config()?;
        let (place, choice) = (config.ledger_place()?, config.lock_choice()?);
        Ok(Bound {
            id: ledger.ledger_id().to_string(),
            ledger: format!("{place}, {}", config.named("ledger.url")),
            locks: format!("{}, {}", choice.place, choice.place_by),
            holder: self.holder()?.to_string(),
            server: match &choice.place {
                LockPlace::Redis(url) => Some(RedisOptions::from_url(url.with_password())?.place()),
                _ => None,
            },
            is_file: matches!(place, LedgerPlace::Sqlite(_)),
            development: config.is_development(),
        })
    }

    /// Opens the locks for a look. `None`, and a note, where there is no file of them: looking makes none.
    ///
    /// # Errors
    /// As [`App::locks`].
    pub(crate) async fn locks_to_look_at(&self) -> Result<Option<LockManager>, CliError> {
        // What cannot be looked at is told by the opening.
        if let LockPlace::Sqlite(path) = self.config()?.lock_choice()?.place
            && matches!(path.try_exists(), Ok(false))
        {
            self.out.say(format!("there are no locks at {}", path.display()));
            return Ok(None);
        }
        self.locks().await.map(Some)
    }

    /// Opens the marketplace that bids go to, or go to according to a bid's own record.
    ///
    /// # Errors
    /// The token can't be read, or the client can't be set up.
    pub(crate) fn marketplace(&self, target: &Target) -> Result<Arc<dyn Marketplace>, CliError> {
        let (config, options) = (self.config()?, self.http_options()?);
        bidlock_market::connect(target, options).map_err(|e| {
            CliError::usage(format!("{}: {}", config.named("submit.target"), chain_of(&e)))
                .hint("use dry-run or a URL such as http://127.0.0.1:8080")
        })
    }

    /// How this process speaks to marketplaces.
    ///
    /// # Errors
    /// The token can't be read.
    pub(crate) fn http_options(&self) -> Result<HttpOptions, CliError> {
        let config = self.config()?;
        Ok(HttpOptions {
            time_limit: config.submit.time_limit,
            connect_limit: config.submit.connect_limit,
            token: config.token()?,
            ..HttpOptions::default()
        })
    }

    /// What opens the marketplace that a bid went through, by the name that stands with the bid; `given` says
    /// under which address it is found today.
    ///
    /// # Errors
    /// The token can't be read. The function's: the name is none that this bidlock knows, or the client can't be
    /// set up.
    pub(crate) fn marketplaces_by_via(
        &self,
        given: Option<Target>,
    ) -> Result<impl Fn(&str) -> Result<Arc<dyn Marketplace>, CliError> + Send + Sync + use<>, CliError> {
        let options = self.http_options()?;
        Ok(move |via: &str| {
            let recorded = Target::of_via(via);
            let Some(target) = given.as_ref().or(recorded.as_ref()) else {
                return Err(CliError::usage(format!(
                    "the bid went through `{via}`, which this bidlock does not know"
                ))
                .hint("settle it by hand at the marketplace, then `bidlock bid resolve`"));
            };
            bidlock_market::connect(target, options.clone()).map_err(|e| {
                CliError::usage(format!(
                    "{}, where the bid went, can't be spoken to: {}",
                    place_of(via),
                    chain_of(&e)
                ))
                .hint("`bidlock config show` says how this bidlock connects")
            })
        })
    }

    /// Opens the marketplace that a bid went through.
    ///
    /// # Errors
    /// As [`App::marketplaces_by_via`] and its function.
    pub(crate) fn marketplace_of(&self, via: &str) -> Result<Arc<dyn Marketplace>, CliError> {
        self.marketplaces_by_via(None)?(via)
    }

    /// This instance's name: the configured one, or `host:pid:random`. The same for the whole process.
    ///
    /// # Errors
    /// See [`App::config`]; or the configured name can't be a holder's.
    pub(crate) fn holder(&self) -> Result<HolderId, CliError> {
        if let Some(holder) = self.holder.get() {
            return Ok(holder.clone());
        }
        let config = self.config()?;
        let holder = match &config.lock.holder {
            None => HolderId::for_this_process(),
            Some(name) => HolderId::named(name).map_err(|e| {
                CliError::usage(format!("{}: {e}", config.named("lock.holder"))).hint("choose another name")
            })?,
        };
        Ok(self.holder.get_or_init(|| holder).clone())
    }

    /// Now, for people to read and for ages of feeds. Never decides expiry of a claim.
    pub(crate) fn now() -> jiff::Timestamp {
        let wall_ms = bidlock_sqlite::HostClock::now(&bidlock_sqlite::SystemHostClock).wall_ms;
        jiff::Timestamp::from_millisecond(wall_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The person at the keyboard, for the record: `SUDO_USER`, `USER` or `LOGNAME`.
    pub(crate) fn operator(&self) -> String {
        ["SUDO_USER", "USER", "LOGNAME"]
            .into_iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|name| !name.trim().is_empty())
            .unwrap_or_else(|| "unnamed".to_owned())
    }
}
