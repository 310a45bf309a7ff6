//! What a manager and the metrics layer count, rendered by the exporter that users have; and the spans of the lock layer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the lints know test functions, and not what these call"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bidlock::backends::memory::MemoryBackend;
use bidlock::layers::metrics::Metered;
use bidlock::{
    Acquire, Acquired, Actor, Attempt, Capability, Error, ErrorKind, Grant, Health, HeldLock, KeyFilter,
    LedgerBinding, LockBackend, LockKey, LockManager, ManualClock, Page, Released, Renewed, Result, Wait,
    Waiter,
};
use bidlock_metrics::Marketplaces;
use bidlock_testkit::Scrape;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const TTL: Duration = Duration::from_secs(60);

fn key(marketplace: &str, posting: &str) -> LockKey {
    LockKey::posting(marketplace, posting).unwrap()
}

/// Two managers on one store and one clock; the first is metered.
fn managers(scrape: &Scrape, clock: &Arc<ManualClock>) -> (LockManager, LockManager) {
    let store: Arc<dyn LockBackend> = Arc::new(MemoryBackend::with_clock(clock.clone()));
    let builder = || LockManager::builder(store.clone()).ttl(TTL).clock(clock.clone()).renewal(false);
    let marketplaces = Marketplaces::new(["upwork"]);
    let metered = scrape.within(|| builder().metrics(&marketplaces).build().unwrap());
    (metered, builder().build().unwrap())
}

#[tokio::test]
async fn attempts_holds_and_losses_are_counted_by_marketplace_and_agree_with_the_stats() {
    let (scrape, clock) = (Scrape::new(), Arc::new(ManualClock::new()));
    let (locks, others) = managers(&scrape, &clock);
    let acquire = |marketplace: &str, outcome: &str| {
        let labels = format!("backend=\"memory\",marketplace=\"{marketplace}\",outcome=\"{outcome}\"");
        scrape.value(&format!("bidlock_lock_acquire_total{{{labels}}}"))
    };
    let of = |name: &str, marketplace: &str| {
        scrape.value(&format!("{name}{{backend=\"memory\",marketplace=\"{marketplace}\"}}"))
    };
    let lost = |reason: &str| {
        scrape.value(&format!("bidlock_lock_lost_total{{backend=\"memory\",reason=\"{reason}\"}}"))
    };
    for outcome in ["acquired", "held", "timeout", "error"] {
        assert_eq!((acquire("upwork", outcome), acquire("other", outcome)), (0.0, 0.0), "from the start");
    }
    for reason in ["deadline", "taken", "found_at_release"] {
        assert_eq!(lost(reason), 0.0);
    }
    assert_eq!(of("bidlock_lock_hold_duration_seconds_count", "other"), 0.0);

    let theirs = others.try_lock(&key("upwork", "theirs")).await.unwrap().acquired().unwrap();
    let mine = locks.try_lock(&key("upwork", "mine")).await.unwrap().acquired().unwrap();
    assert!(!locks.try_lock(&key("upwork", "theirs")).await.unwrap().is_acquired());
    let many = [key("upwork", "theirs"), key("nobody-listed", "1"), LockKey::named("a", "b").unwrap()];
    let batch = locks.try_lock_many(&many).await.unwrap();
    assert_eq!((of("bidlock_locks_held", "upwork"), of("bidlock_locks_held", "other")), (1.0, 2.0));
    clock.advance(Duration::from_secs(3));
    mine.release().await.unwrap();
    assert_eq!(of("bidlock_locks_held", "upwork"), 0.0);
    assert_eq!(of("bidlock_lock_hold_duration_seconds_sum", "upwork"), 3.0);

    // Nobody renews: two are lost at their own deadline, once each, however often one looks.
    clock.advance(TTL);
    for lease in batch.iter().filter_map(|attempt| match attempt {
        Attempt::Acquired(lease) => Some(lease),
        Attempt::Held(_) => None,
    }) {
        assert!(lease.is_lost() && lease.is_lost());
    }
    drop(batch);
    assert_eq!((lost("deadline"), of("bidlock_locks_held", "other")), (2.0, 0.0));
    assert_eq!(of("bidlock_lock_hold_duration_seconds_count", "other"), 2.0);

    // Taken by force, and found so by a renewal and by a release.
    let by = Actor::new("tester", "to see it lost").unwrap();
    let renewed = locks.try_lock(&key("upwork", "renewed")).await.unwrap().acquired().unwrap();
    let released = locks.try_lock(&key("upwork", "released")).await.unwrap().acquired().unwrap();
    others.force_release(renewed.key(), &by).await.unwrap();
    others.force_release(released.key(), &by).await.unwrap();
    assert_eq!(renewed.renew().await.unwrap(), Renewed::Lost);
    assert_eq!(released.release().await.unwrap(), Released::Expired);
    assert_eq!((lost("taken"), lost("found_at_release")), (1.0, 1.0));
    drop((theirs, renewed));

    let (stats, count) = (locks.stats(), |outcome| acquire("upwork", outcome) + acquire("other", outcome));
    assert_eq!((acquire("upwork", "acquired"), acquire("other", "acquired")), (3.0, 2.0));
    assert_eq!((acquire("upwork", "held"), acquire("other", "held")), (2.0, 0.0));
    assert_eq!((stats.successes as f64, stats.conflicts as f64), (count("acquired"), count("held")));
    assert_eq!(stats.lost as f64, lost("deadline") + lost("taken") + lost("found_at_release"));
    assert_eq!((stats.attempts, stats.active), (7, 0));
    let asked = of("bidlock_lock_acquire_duration_seconds_count", "upwork")
        + of("bidlock_lock_acquire_duration_seconds_count", "other");
    assert_eq!(asked, 7.0);
}

#[tokio::test]
async fn a_wait_in_vain_counts_as_a_timeout_with_the_time_that_it_took() {
    let scrape = Scrape::new();
    let clock = Arc::new(ManualClock::new());
    let (locks, others) = managers(&scrape, &clock);
    let held = others.try_lock(&key("upwork", "1")).await.unwrap().acquired().unwrap();
    let wait = Wait::up_to(Duration::from_secs(2));
    let waiting = tokio::spawn({
        let locks = locks.clone();
        async move { locks.lock(&key("upwork", "1"), wait).await }
    });
    while !waiting.is_finished() {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    assert!(!waiting.await.unwrap().unwrap().is_acquired());
    let labels = "backend=\"memory\",marketplace=\"upwork\"";
    let line =
        |name: &str, more: &str| scrape.value(&format!("bidlock_lock_acquire_{name}{{{labels}{more}}}"));
    assert_eq!(line("total", ",outcome=\"timeout\""), 1.0);
    assert_eq!((line("duration_seconds_count", ""), line("duration_seconds_sum", "") >= 2.0), (1.0, true));
    assert_eq!(line("duration_seconds_bucket", ",le=\"0.5\""), 0.0);
    drop(held);
}

/// A store in memory that fails as long as it is told to.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryBackend,
    /// 0: it works; else one more than the place of a kind in [`ErrorKind::ALL`].
    fault: AtomicU8,
}

impl Failing {
    fn set(&self, kind: Option<ErrorKind>) {
        let at = kind.map_or(0, |kind| 1 + ErrorKind::ALL.iter().position(|known| *known == kind).unwrap());
        self.fault.store(at as u8, SeqCst);
    }

    fn well(&self) -> Result<()> {
        match self.fault.load(SeqCst) {
            0 => Ok(()),
            at => Err(Error::new(ErrorKind::ALL[usize::from(at) - 1], "memory", "test", "as told")),
        }
    }
}

#[async_trait]
impl LockBackend for Failing {
    fn capability(&self) -> Capability {
        self.store.capability()
    }
    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        self.well()?;
        self.store.try_acquire(requests).await
    }
    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        self.well()?;
        self.store.renew(grants, ttl).await
    }
    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        self.well()?;
        self.store.release(grants).await
    }
    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.well()?;
        self.store.inspect(filter, page).await
    }
    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.well()?;
        self.store.force_release(key, by).await
    }
    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        self.well()?;
        self.store.enlist(request).await
    }
    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        self.well()?;
        self.store.bind_ledger(ledger, memory, replace).await
    }
    async fn check(&self) -> Result<Health> {
        self.well()?;
        self.store.check().await
    }
}

#[tokio::test]
async fn an_engine_is_down_while_it_does_not_answer_and_every_error_is_counted_by_its_kind() {
    let scrape = Scrape::new();
    let failing = Arc::new(Failing::default());
    let metered = scrape.within(|| Metered::new(failing.clone()));
    let locks = LockManager::new(Arc::new(metered));
    let up = || scrape.value("bidlock_backend_up{backend=\"memory\"}");
    let errors = |kind: ErrorKind| {
        let labels = format!("backend=\"memory\",reason=\"{}\"", kind.as_str());
        scrape.value(&format!("bidlock_backend_errors_total{{{labels}}}"))
    };
    assert_eq!(up(), 1.0);
    for kind in ErrorKind::ALL {
        assert_eq!(errors(kind), 0.0, "{kind:?} from the start");
    }
    for (kind, down) in
        [(ErrorKind::Unavailable, true), (ErrorKind::Busy, false), (ErrorKind::Poisoned, true)]
    {
        failing.set(Some(kind));
        assert!(locks.check().await.is_err());
        assert_eq!((up(), errors(kind)), (if down { 0.0 } else { 1.0 }, 1.0), "{kind:?}");
        assert!(locks.inspect(KeyFilter::all(), Page::default()).await.is_err());
        assert_eq!(errors(kind), 2.0, "{kind:?}");
        failing.set(None);
        let lease = locks.try_lock(&key("upwork", "1")).await.unwrap().acquired().unwrap();
        assert_eq!(up(), 1.0, "it answers again");
        lease.release().await.unwrap();
    }
}

/// Every span that was closed, with its fields.
#[derive(Clone, Default)]
struct Closed(Arc<Mutex<Vec<Fields>>>);

/// A span's fields; `span` is its name, `parent` its parent's.
type Fields = BTreeMap<String, String>;

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Closed {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut fields = Fields::from([("span".to_owned(), span.name().to_owned())]);
        if let Some(parent) = span.parent() {
            fields.insert("parent".to_owned(), parent.name().to_owned());
        }
        attributes.record(&mut Reader(&mut fields));
        span.extensions_mut().insert(fields);
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(&mut Reader(span.extensions_mut().get_mut::<Fields>().unwrap()));
    }
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let fields = context.span(&id).unwrap().extensions_mut().remove::<Fields>().unwrap();
        self.0.lock().unwrap().push(fields);
    }
}

#[tokio::test]
async fn spans_tell_posting_wait_hold_and_how_both_ended() {
    let closed = Closed::default();
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(closed.clone()));
    let clock = Arc::new(ManualClock::new());
    let (locks, others) = managers(&Scrape::new(), &clock);
    let drain = || std::mem::take(&mut *closed.0.lock().unwrap());

    let lease = locks.try_lock(&key("upwork", "a:1")).await.unwrap().acquired().unwrap();
    let acquire = drain().pop().expect("the attempt has ended, though the hold goes on");
    for (field, value) in
        [("span", "lock.acquire"), ("marketplace", "upwork"), ("posting", "a:1"), ("outcome", "acquired")]
    {
        assert_eq!(acquire.get(field).map(String::as_str), Some(value), "{acquire:?}");
    }
    assert_eq!(acquire["wait_ms"], "0.0");
    clock.advance(Duration::from_millis(1_500));
    let token = lease.fencing_token().get().to_string();
    lease.release().await.unwrap();
    let hold = drain().pop().expect("the hold has ended with its release");
    for (field, value) in [
        ("span", "lock.hold"),
        ("marketplace", "upwork"),
        ("posting", "a:1"),
        ("token", &token),
        ("held_ms", "1500.0"),
        ("ended", "released"),
    ] {
        assert_eq!(hold.get(field).map(String::as_str), Some(value), "{hold:?}");
    }

    let lost = locks.try_lock(&key("upwork", "2")).await.unwrap().acquired().unwrap();
    clock.advance(TTL);
    assert!(lost.is_lost());
    assert_eq!(drain().pop().unwrap()["ended"], "deadline", "also while the lease is still about");
    let theirs = others.try_lock(&key("upwork", "3")).await.unwrap();
    drain();
    locks.try_lock_many(&[key("upwork", "3"), key("upwork", "4")]).await.unwrap();
    let ended = drain();
    let outcomes: Vec<(&str, &str)> = ended
        .iter()
        .filter(|span| span["span"] == "lock.acquire")
        .map(|span| (span["posting"].as_str(), span["outcome"].as_str()))
        .collect();
    assert_eq!(outcomes, [("3", "held"), ("4", "acquired")], "each of a batch");
    drop(theirs);
}
