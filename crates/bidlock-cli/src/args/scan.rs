//! `bidlock scan` and `bidlock reconcile`.

use std::{num::NonZeroU64, str::FromStr};

use bidlock_ledger::Currency;
use clap::Args;

use super::{Override, StoreArgs, given};

const SCAN_HELP: &str = "\
Examples:
  bidlock scan feed.xml                       dry run: says what would be bid, sends nothing, writes no row
  curl -s https://example.com/rss | bidlock scan - --marketplace example
  bidlock scan feeds/ --submit https://example.com/api --rules rules.toml --every 60s
  bidlock scan jobs.csv --map map.toml --marketplace example --min-amount 100USD --max-bids 5 --json

Start as many scans at once as you like: they share the ledger, and each posting gets one bid.
Exit codes: 0 done, 2 usage, 5 a store can't be used, 6 an outcome is unknown, 7 an invariant is
violated, 8 the marketplace refused the account, is not at its address, or leaves bids without an answer.";

/// Read feeds and bid once on each suitable posting.
///
/// Without --submit (or submit.target in the settings) this is a dry run. With --json stdout is JSON lines: an outcome per
/// sighting, a line per unreadable row, a summary at the end.
#[derive(Clone, Debug, Args)]
#[command(after_help = SCAN_HELP, after_long_help = SCAN_HELP)]
pub(crate) struct ScanArgs {
    /// Files or folders to read, or - for stdin
    #[arg(required = true, value_name = "FEED")]
    pub(crate) feeds: Vec<String>,
    /// What the feed is [default: auto, which looks]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// A TOML file that says which field of the feed means what
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<String>,
    /// The marketplace of the postings, where the feed does not say it
    #[arg(long, value_name = "ID")]
    pub(crate) marketplace: Option<String>,
    /// Where bids go: the URL of a marketplace, or dry-run [default: dry-run]
    #[arg(long, value_name = "URL|dry-run")]
    pub(crate) submit: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    /// Let these locks serve this ledger from now on, whichever they served before
    #[arg(long)]
    pub(crate) rebind_ledger: bool,
    /// Send from a new or a second ledger though another one of yours has bids: a posting with one there can get another
    #[arg(long)]
    pub(crate) new_ledger: bool,
    /// The replaced system's database, while its instances still run: its bids count, and ours are shown to it
    #[arg(long, value_name = "URL")]
    pub(crate) legacy_database: Option<String>,
    /// A TOML file of rules that say what is suitable; needed to send, or --bid-on-everything
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<String>,
    /// Without rules, bid on every posting that can be read
    #[arg(long, conflicts_with = "rules")]
    pub(crate) bid_on_everything: bool,
    /// Send bids without a text, where neither the rules nor submit.proposal give one
    #[arg(long)]
    pub(crate) empty_proposal: bool,
    /// Read the feeds again after this long, until stopped: 60s, 5m
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<String>,
    /// Send at most this many bids, then stop
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_bids: Option<NonZeroU64>,
    /// Pass over postings whose bid would be smaller: 100 or 100USD (then of this currency alone)
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) min_amount: Option<MinAmount>,
    /// How long to try again what another scanner holds, before the scan ends [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// Put every bid before a person first (submit.approval = "always")
    #[arg(long)]
    pub(crate) approve: bool,
    /// How many postings are worked on at once [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,
    /// Pass over what was fetched longer ago than this [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_age: Option<String>,
    /// Serve metrics for Prometheus here while the scan runs: 127.0.0.1:9464, or a port of this host alone
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics_listen: Option<String>,
}

impl ScanArgs {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let yes = || "true".to_owned();
        let mut all = self.stores.overrides();
        all.extend(given(&[
            ("--format", "scan.format", self.format.clone()),
            ("--map", "scan.map", self.map.clone()),
            ("--marketplace", "scan.marketplace", self.marketplace.clone()),
            ("--submit", "submit.target", self.submit.clone()),
            ("--rules", "scan.rules", self.rules.clone()),
            ("--bid-on-everything", "scan.bid_on_everything", self.bid_on_everything.then(yes)),
            ("--empty-proposal", "submit.empty_proposal", self.empty_proposal.then(yes)),
            ("--every", "scan.every", self.every.clone()),
            ("--wait", "scan.wait", self.wait.clone()),
            ("--approve", "submit.approval", self.approve.then(|| "always".to_owned())),
            ("--concurrency", "scan.concurrency", self.concurrency.clone()),
            ("--max-age", "scan.max_age", self.max_age.clone()),
            ("--legacy-database", "legacy.url", self.legacy_database.clone()),
            ("--metrics-listen", "metrics.listen", self.metrics_listen.clone()),
        ]));
        all
    }
}

const RECONCILE_HELP: &str = "\
Examples:
  bidlock reconcile                  settle what can be settled
  bidlock reconcile --dry-run        only say what would change

A bid is looked up at the marketplace it went to. A bid that is not found there stays unknown: a paused
scanner may still send it. `bidlock bid resolve` is how a person decides. Nothing is ever sent again.
Exit codes: 0 nothing is unknown any more, 5 a store or the marketplace can't be used, 6 something stays unknown.";

/// Look up bids whose outcome is unknown, at the marketplace they went to.
#[derive(Clone, Debug, Args)]
#[command(after_help = RECONCILE_HELP, after_long_help = RECONCILE_HELP)]
pub(crate) struct ReconcileArgs {
    /// Look up and say what would change, but write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Look up at this marketplace [default: where each bid was sent]
    #[arg(long, value_name = "URL")]
    pub(crate) submit: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    /// Let these locks serve this ledger from now on, whichever they served before
    #[arg(long)]
    pub(crate) rebind_ledger: bool,
}

impl ReconcileArgs {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut all = self.stores.overrides();
        all.extend(given(&[("--submit", "submit.target", self.submit.clone())]));
        all
    }
}

/// A smallest amount, as typed: whole numbers or decimals, with or without a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MinAmount {
    /// Digits before the point.
    whole: i64,
    /// Digits after the point, as typed.
    fraction: String,
    /// Only bids of this currency, if one was named.
    pub(crate) currency: Option<Currency>,
}

impl MinAmount {
    /// The amount in a currency's minor unit, rounded up, so that nothing smaller passes.
    /// `None` where the number is too large.
    pub(crate) fn in_minor(&self, currency: Currency) -> Option<i64> {
        let exponent = iso_currency::Currency::from_code(currency.as_str())
            .and_then(|c| c.exponent())
            .map_or(2, usize::from);
        let mut digits = self.fraction.clone();
        while digits.len() < exponent {
            digits.push('0');
        }
        let (kept, cut) = digits.split_at(exponent);
        let minor = if kept.is_empty() { 0 } else { kept.parse::<i64>().ok()? };
        let above = i64::from(cut.bytes().any(|b| b != b'0'));
        let scale = 10_i64.checked_pow(u32::try_from(exponent).ok()?)?;
        self.whole.checked_mul(scale)?.checked_add(minor)?.checked_add(above)
    }
}

impl FromStr for MinAmount {
    type Err = String;

    fn from_str(text: &str) -> Result<MinAmount, String> {
        let wrong = || format!("`{text}` is not an amount; write 100, 99.50 or 100USD");
        let text = text.trim();
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, code) = text.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        /// More digits after the point belong to no currency.
        const MAX_FRACTION: usize = 6;
        if number.is_empty() || fraction.contains('.') || fraction.len() > MAX_FRACTION {
            return Err(wrong());
        }
        let currency = match code.trim() {
            "" => None,
            code => Some(Currency::new(code).map_err(|e| e.to_string())?),
        };
        Ok(MinAmount { whole: whole.parse().map_err(|_| wrong())?, fraction: fraction.to_owned(), currency })
    }
}

/// A count of which at least one makes sense.
fn at_least_one(text: &str) -> Result<NonZeroU64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a count from 1 on; leave --submit out to send nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_in_the_minor_unit_of_each_currency() {
        let usd = |text: &str| text.parse::<MinAmount>().unwrap().in_minor(Currency::USD);
        assert_eq!(usd("100"), Some(10_000));
        assert_eq!(usd("99.5"), Some(9_950));
        assert_eq!(usd("0.001"), Some(1), "rounded up: nothing smaller passes");
        let yen = Currency::new("JPY").unwrap();
        assert_eq!("100".parse::<MinAmount>().unwrap().in_minor(yen), Some(100));
        assert_eq!("100 jpy".parse::<MinAmount>().unwrap().currency, Some(yen));
        assert_eq!(usd("9223372036854775807"), None);
        for bad in ["", "-1", "1.2.3", "USD", "100US", "1e3", "0.1234567"] {
            assert!(bad.parse::<MinAmount>().is_err(), "{bad}");
        }
    }
}
