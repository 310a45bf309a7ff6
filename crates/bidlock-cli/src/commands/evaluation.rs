//! What the settings make of postings: which are worth a bid, for how much, with what words. What nobody decided is
//! not taken for a yes where money is sent.

use std::sync::Arc;

use bidlock_config::{Config, read_bounded};
use bidlock_ledger::Currency;
use bidlock_market::Posting;
use bidlock_pipeline::{Decision, DeclineReason, Evaluator, EverythingSuits, RuleSet, check_template};

use crate::{args::MinAmount, failure::CliError};

/// A larger file of rules is a mistake.
const MAX_RULES_BYTES: u64 = 1 << 20;

/// Rules and proposal, as the settings name them.
pub(super) struct Evaluation {
    /// Decides about postings.
    pub(super) evaluator: Arc<dyn Evaluator>,
    /// A file of rules is named.
    pub(super) has_rules: bool,
    says_nothing: bool,
}

impl Evaluation {
    /// Reads the rules and the proposal.
    ///
    /// # Errors
    /// One of their files can't be used.
    pub(super) fn of(config: &Config) -> Result<Evaluation, CliError> {
        let proposal = config.proposal()?.unwrap_or_default();
        check_template(&config.named("submit.proposal"), &proposal)
            .map_err(|e| CliError::usage(e.to_string()))?;
        let Some(path) = &config.scan.rules else {
            let says_nothing = proposal.trim().is_empty();
            let evaluator = Arc::new(EverythingSuits { proposal });
            return Ok(Evaluation { evaluator, has_rules: false, says_nothing });
        };
        let named = config.named("scan.rules");
        let text = read_bounded(path, MAX_RULES_BYTES).map_err(|e| {
            CliError::usage(format!("{named}: cannot read {}: {e}", path.display()))
                .hint("name a TOML file of rules; docs/rules.md shows one")
        })?;
        let rules = RuleSet::parse(&path.display().to_string(), &text)
            .map_err(|e| CliError::usage(e.to_string()).hint("docs/rules.md lists every key"))?
            .with_default_proposal(proposal);
        let says_nothing = rules.proposal().trim().is_empty();
        Ok(Evaluation { evaluator: Arc::new(rules), has_rules: true, says_nothing })
    }

    /// Passes over what would be bid on for less than this, whatever the rules say.
    pub(super) fn at_least(mut self, least: Option<&MinAmount>) -> Evaluation {
        if let Some(least) = least.cloned() {
            self.evaluator = Arc::new(AtLeast { least, inner: self.evaluator });
        }
        self
    }

    /// Whether somebody has decided what is bid on, and with what words.
    ///
    /// # Errors
    /// There are no rules, or there is no proposal, and nobody said that it is meant so.
    pub(super) fn fit_to_send(&self, config: &Config) -> Result<(), CliError> {
        if !self.has_rules && !config.scan.bid_on_everything {
            return Err(CliError::usage(
                "nothing says which postings are worth a bid: this scan would bid on every one that it can read",
            )
            .hint(
                "give it rules: --rules FILE (docs/rules.md shows one; `bidlock posting evaluate FEED --rules FILE` \
                 tries it); or say that all are meant: --bid-on-everything",
            ));
        }
        if self.says_nothing && !config.submit.empty_proposal {
            return Err(CliError::usage("the proposal is empty: bids would be sent without a word").hint(
                "write it as bid.proposal into the rules, or name its file by submit.proposal; where the marketplace \
                 takes bids without a text: --empty-proposal",
            ));
        }
        Ok(())
    }
}

/// `--min-amount`: on top of whatever the rules say.
#[derive(Debug)]
struct AtLeast {
    least: MinAmount,
    inner: Arc<dyn Evaluator>,
}

impl Evaluator for AtLeast {
    fn evaluate(&self, posting: &Posting, now: jiff::Timestamp) -> Decision {
        let decision = self.inner.evaluate(posting, now);
        let Decision::Suitable { amount, .. } = &decision else { return decision };
        let no = |why: String| Decision::Declined(DeclineReason::Rule { rule: "--min-amount", why });
        let Some(amount) = amount else { return no("the posting gives no amount".to_owned()) };
        if let Some(wanted) = self.least.currency.filter(|c: &Currency| *c != amount.currency) {
            return no(format!("the amount is in {}, not {wanted}", amount.currency));
        }
        match self.least.in_minor(amount.currency) {
            Some(least) if amount.minor >= least => decision,
            _ => no("the amount is smaller".to_owned()),
        }
    }
}
