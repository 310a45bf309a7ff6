//! `bidlock bid …`.

use bidlock_ledger::BidState;
use clap::{Args, Subcommand, ValueEnum};

use super::{LedgerArgs, Override};

const BID_HELP: &str = "\
A bid is named by its id, by the beginning of it where only one bid begins so, or by MARKETPLACE/POSTING.

Examples:
  bidlock bid list --state unknown,awaiting_approval
  bidlock bid list --marketplace upwork --since 24h --json
  bidlock bid show 0199c3
  bidlock bid history upwork/1900000000000000001
  bidlock bid approve 0199c3
  bidlock bid withdraw 0199c3 --reason 'the client changed the brief'
  bidlock bid resolve 0199c3 --as submitted --reason 'seen on the site' --external-ref B-17";

/// Look at bids; approve, decline, withdraw or resolve one.
#[derive(Clone, Debug, Args)]
#[command(after_help = BID_HELP, after_long_help = BID_HELP, disable_help_subcommand = true)]
pub(crate) struct BidArgs {
    #[command(subcommand)]
    pub(crate) command: BidCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BidCommand {
    List(ListArgs),
    Show(ShowArgs),
    History(HistoryArgs),
    Approve(ApproveArgs),
    Decline(DeclineArgs),
    Withdraw(WithdrawArgs),
    Resolve(ResolveArgs),
}

impl BidCommand {
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let ledger = match self {
            BidCommand::List(a) => &a.ledger,
            BidCommand::Show(a) => &a.ledger,
            BidCommand::History(a) => &a.ledger,
            BidCommand::Approve(a) => &a.ledger,
            BidCommand::Decline(a) => &a.ledger,
            BidCommand::Withdraw(a) => &a.ledger,
            BidCommand::Resolve(a) => &a.ledger,
        };
        let mut all = ledger.overrides();
        if let BidCommand::Approve(ApproveArgs { valid_for, .. }) = self {
            all.extend(super::given(&[("--valid-for", "submit.approval_valid_for", valid_for.clone())]));
        }
        all
    }
}

/// List bids, oldest first.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this marketplace
    #[arg(long, value_name = "ID")]
    pub(crate) marketplace: Option<String>,
    /// Only these states, separated by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub(crate) state: Vec<BidState>,
    /// Only this posting's: its id, or MARKETPLACE/POSTING
    #[arg(long, value_name = "POSTING")]
    pub(crate) posting: Option<String>,
    /// Made at or after: 24h (ago), 2026-03-01, 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Made before: 1h (ago), 2026-03-01, 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(bidlock_ledger::store::MAX_PAGE)))]
    pub(crate) limit: u32,
    /// Go on after this bid, the last of the page before
    #[arg(long, value_name = "BID")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// Everything about one bid.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// A bid's events; checks their hash chain.
///
/// Oldest first. A changed or missing event ends with exit code 7.
#[derive(Clone, Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// Say yes to a bid that awaits approval; the next scan sends it.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How long the approval holds [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) valid_for: Option<String>,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// Say no before anything is sent.
///
/// The posting stays used: nobody bids on it.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeclineArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// Ask the marketplace to withdraw a submitted bid.
///
/// The wish is recorded first, then the marketplace is asked, then its answer is recorded. Safe to repeat:
/// a bid that is being withdrawn is asked for again, a withdrawn one is left alone.
#[derive(Clone, Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Names this request: the same id is recorded once
    #[arg(long, value_name = "ID")]
    pub(crate) event_id: Option<String>,
    /// You have withdrawn it on the marketplace's site: record that, ask nobody
    #[arg(long)]
    pub(crate) by_hand: bool,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

const RESOLVE_HELP: &str = "\
Examples:
  bidlock bid resolve 0199c3 --as submitted --reason 'seen on the site' --external-ref B-17
  bidlock bid resolve 0199c3 --as not-submitted --reason 'support says they have no bid' --evidence @mail.txt

With --as not-submitted the posting stays used. --allow-new-bid lets it be bid on again; it is taken
plainly only where the process that sent the bid is proven gone.";

/// Decide what became of a bid whose outcome is unknown.
///
/// A person's word, with a reason, for the record. `bidlock reconcile` asks the marketplace first.
#[derive(Clone, Debug, Args)]
#[command(after_help = RESOLVE_HELP, after_long_help = RESOLVE_HELP)]
pub(crate) struct ResolveArgs {
    /// The bid: its id, the beginning of it, or MARKETPLACE/POSTING
    pub(crate) bid: String,
    /// What became of it
    #[arg(long = "as", value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: ResolveAs,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The marketplace's name for the bid
    #[arg(long, value_name = "REF")]
    pub(crate) external_ref: Option<String>,
    /// What proves it: a text, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) evidence: Option<String>,
    /// The posting may be bid on again (with --as not-submitted)
    #[arg(long)]
    pub(crate) allow_new_bid: bool,
    /// Allow a new bid although the sender is not proven gone: it may lead to two bids
    #[arg(long, requires = "allow_new_bid")]
    pub(crate) i_accept_the_risk: bool,
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResolveAs {
    /// The marketplace has it
    Submitted,
    /// The marketplace never accepted it
    NotSubmitted,
}
