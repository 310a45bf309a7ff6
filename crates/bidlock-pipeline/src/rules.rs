//! Evaluation by typed TOML rules: is this posting worth a bid, for how much, with what words.
//!
//! ```toml
//! [skills]
//! any = ["rust", "python"]
//! none = ["wordpress"]
//!
//! [budget]
//! required = true
//! [[budget.limit]]
//! currency = "USD"
//! kind = "hourly"
//! min = "40"
//!
//! [client]
//! payment_verified = true
//!
//! [bid]
//! amount_percent = 95
//! proposal = "Hello, I can start on \"{title}\" this week."
//! ```
//!
//! A rule that asks for what a posting does not tell declines it, and says so: what is not known is not
//! assumed. Budgets alone are asked for by a key of their own, `budget.required`: the other budget rules
//! speak of budgets that are given. Every key is optional; an unknown key is an error that names it.

use std::fmt::Debug;

use bidlock_ledger::{Currency, Money};
use bidlock_market::{Budget, BudgetKind, Posting};
use jiff::Timestamp;
use serde::Deserialize;

use crate::outcome::DeclineReason;

/// What an evaluation says of a posting.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Worth a bid.
    Suitable {
        /// The amount to bid; `None` where neither the posting nor a rule gives one.
        amount: Option<Money>,
        /// The proposal's text.
        proposal: String,
        /// Why, for the ledger.
        explanation: Option<String>,
    },
    /// Not worth one. No row is written.
    Declined(DeclineReason),
}

/// Decides about postings. Must not block: it is called between lock and claim.
pub trait Evaluator: Debug + Send + Sync + 'static {
    /// Decides about one posting, as seen at `now`.
    fn evaluate(&self, posting: &Posting, now: Timestamp) -> Decision;
}

/// Without rules every readable posting is suitable, for its own budget.
#[derive(Clone, Debug, Default)]
pub struct EverythingSuits {
    /// The proposal; `{title}` and `{url}` stand for the posting's.
    pub proposal: String,
}

impl Evaluator for EverythingSuits {
    fn evaluate(&self, posting: &Posting, _now: Timestamp) -> Decision {
        Decision::Suitable {
            amount: posting.budget.bid_amount(),
            proposal: fill_in(&self.proposal, posting),
            explanation: None,
        }
    }
}

/// A rules file can't be used; says where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RulesError(String);

/// Rules as they stand in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSet {
    skills: WordRules,
    keywords: WordRules,
    budget: BudgetRules,
    client: ClientRules,
    posting: PostingRules,
    cost: CostRules,
    bid: BidRules,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WordRules {
    any: Vec<String>,
    all: Vec<String>,
    none: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BudgetRules {
    required: bool,
    kinds: Vec<BudgetKind>,
    currencies: Vec<Currency>,
    limit: Vec<Limit>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    currency: Currency,
    kind: BudgetKind,
    #[serde(default)]
    min: Option<String>,
    #[serde(default)]
    max: Option<String>,
    #[serde(skip)]
    min_minor: Option<i64>,
    #[serde(skip)]
    max_minor: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClientRules {
    countries: Vec<String>,
    not_countries: Vec<String>,
    payment_verified: Option<bool>,
    min_rating: Option<f64>,
    min_reviews: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PostingRules {
    max_age: Option<String>,
    max_proposals: Option<u32>,
    marketplaces: Vec<String>,
    #[serde(skip)]
    max_age_s: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CostRules {
    max_units: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BidRules {
    amount_percent: Option<u16>,
    proposal: Option<String>,
}

impl RuleSet {
    /// Reads rules from TOML. `name` is what errors call the file.
    ///
    /// # Errors
    /// The text is no TOML, names a key that does not exist, or gives an amount or age that is none.
    pub fn parse(name: &str, text: &str) -> Result<RuleSet, RulesError> {
        let mut rules: RuleSet =
            toml::from_str(text).map_err(|e| RulesError(format!("{name}: {}", e.to_string().trim_end())))?;
        for limit in &mut rules.budget.limit {
            limit.min_minor = minor(name, limit.min.as_deref(), limit.currency)?;
            limit.max_minor = minor(name, limit.max.as_deref(), limit.currency)?;
        }
        if let Some(text) = &rules.posting.max_age {
            let span: jiff::SignedDuration = text.parse().map_err(|e| {
                RulesError(format!(
                    "{name}: posting.max_age = \"{text}\" is no duration such as \"36h\": {e}"
                ))
            })?;
            if span.is_negative() {
                return Err(RulesError(format!(
                    "{name}: posting.max_age = \"{text}\" is negative, which no posting can fit"
                )));
            }
            rules.posting.max_age_s = Some(span.as_secs());
        }
        if rules.client.min_rating.is_some_and(|r| !r.is_finite()) {
            return Err(RulesError(format!("{name}: client.min_rating must be a number such as 4.5")));
        }
        for limit in &rules.budget.limit {
            if let (Some(min), Some(max)) = (limit.min_minor, limit.max_minor)
                && min > max
            {
                return Err(RulesError(format!(
                    "{name}: a budget.limit has min = \"{}\" above max = \"{}\": no posting could fit",
                    limit.min.as_deref().unwrap_or_default(),
                    limit.max.as_deref().unwrap_or_default()
                )));
            }
        }
        if let Some(proposal) = &rules.bid.proposal {
            check_template(&format!("{name}: bid.proposal"), proposal)?;
        }
        if rules.bid.amount_percent.is_some_and(|p| p == 0 || p > 1_000) {
            return Err(RulesError(format!("{name}: bid.amount_percent must be between 1 and 1000")));
        }
        Ok(rules)
    }

    /// The proposal where `bid.proposal` gives none.
    pub fn with_default_proposal(mut self, proposal: String) -> RuleSet {
        self.bid.proposal.get_or_insert(proposal);
        self
    }

    /// The template of the proposal; empty where there is none.
    pub fn proposal(&self) -> &str {
        self.bid.proposal.as_deref().unwrap_or_default()
    }

    /// The first rule that says no, if any.
    fn objection(&self, posting: &Posting, now: Timestamp) -> Option<DeclineReason> {
        let no = |rule, why: String| Some(DeclineReason::Rule { rule, why });
        if posting.biddable == Some(false) {
            return no("posting", "it is not open for bids".to_owned());
        }
        let allowed = &self.posting.marketplaces;
        if !allowed.is_empty() && !contains(allowed, posting.id.marketplace()) {
            return no("posting.marketplaces", format!("{} is not listed", posting.id.marketplace()));
        }
        self.age_objection(posting, now)
            .or_else(|| self.words_objection(posting))
            .or_else(|| self.budget_objection(&posting.budget))
            .or_else(|| self.client_objection(posting))
            .or_else(|| self.cost_objection(posting))
    }

    fn age_objection(&self, posting: &Posting, now: Timestamp) -> Option<DeclineReason> {
        let rule = "posting.max_age";
        if let Some(most) = self.posting.max_age_s {
            let Some(posted) = posting.posted_at else {
                return Some(DeclineReason::Rule { rule, why: "the posting tells no date".to_owned() });
            };
            let age = now.duration_since(posted).as_secs();
            if age > most {
                return Some(DeclineReason::Rule { rule, why: format!("posted {age} s ago, over {most} s") });
            }
        }
        let (rule, most) = ("posting.max_proposals", self.posting.max_proposals?);
        let Some(there) = posting.proposals else {
            return Some(DeclineReason::Rule {
                rule,
                why: "the posting tells no number of proposals".to_owned(),
            });
        };
        (there > most).then(|| DeclineReason::Rule { rule, why: format!("{there} proposals, over {most}") })
    }

    fn words_objection(&self, posting: &Posting) -> Option<DeclineReason> {
        let skills: Vec<String> = posting.skills.iter().map(|s| fold(s)).collect();
        let text = format!(" {} ", fold(&format!("{} {}", posting.title, posting.description)));
        let has_skill = |w: &str| skills.iter().any(|s| *s == fold(w));
        let has_word = |w: &str| text.contains(&format!(" {} ", fold(w)));
        words(&self.skills, "skills.any", "skills.all", "skills.none", has_skill)
            .or_else(|| words(&self.keywords, "keywords.any", "keywords.all", "keywords.none", has_word))
    }

    fn budget_objection(&self, budget: &Budget) -> Option<DeclineReason> {
        let no = |rule, why: String| Some(DeclineReason::Rule { rule, why });
        let rules = &self.budget;
        let Some(amount) = budget.low.or(budget.high) else {
            return if rules.required {
                no("budget.required", "no budget is given".to_owned())
            } else {
                None
            };
        };
        if !rules.kinds.is_empty() && !rules.kinds.contains(&budget.kind) {
            return no("budget.kinds", format!("{:?} is not listed", budget.kind).to_lowercase());
        }
        if !rules.currencies.is_empty() && !rules.currencies.contains(&amount.currency) {
            return no("budget.currencies", format!("{} is not listed", amount.currency));
        }
        // The best that is offered must reach the minimum, the least must not exceed the maximum.
        let (least, best) = (budget.low.unwrap_or(amount).minor, budget.high.unwrap_or(amount).minor);
        for limit in rules.limit.iter().filter(|l| l.currency == amount.currency && l.kind == budget.kind) {
            if let (Some(min), Some(text)) = (limit.min_minor, &limit.min)
                && best < min
            {
                return no("budget.limit", format!("below the minimum of {text} {}", limit.currency));
            }
            if let (Some(max), Some(text)) = (limit.max_minor, &limit.max)
                && least > max
            {
                return no("budget.limit", format!("above the maximum of {text} {}", limit.currency));
            }
        }
        None
    }

    fn client_objection(&self, posting: &Posting) -> Option<DeclineReason> {
        let no = |rule, why: String| Some(DeclineReason::Rule { rule, why });
        let (rules, client) = (&self.client, &posting.client);
        let country = client.country.as_deref().or(posting.location.as_deref());
        if !rules.countries.is_empty() && !country.is_some_and(|c| contains(&rules.countries, c)) {
            return no(
                "client.countries",
                format!("{} is not listed", country.unwrap_or("an unknown country")),
            );
        }
        if let Some(country) = country.filter(|c| contains(&rules.not_countries, c)) {
            return no("client.not_countries", format!("{country} is listed"));
        }
        if rules.payment_verified == Some(true) && client.payment_verified != Some(true) {
            return no("client.payment_verified", "the payment method is not verified".to_owned());
        }
        if let Some(least) = rules.min_rating.filter(|least| client.rating.is_none_or(|r| r < *least)) {
            return no("client.min_rating", format!("rated {}, below {least}", shown(client.rating)));
        }
        if let Some(least) = rules.min_reviews.filter(|least| client.reviews.is_none_or(|r| r < *least)) {
            return no("client.min_reviews", format!("{} reviews, below {least}", shown(client.reviews)));
        }
        None
    }

    fn cost_objection(&self, posting: &Posting) -> Option<DeclineReason> {
        let (rule, most) = ("cost.max_units", self.cost.max_units?);
        let Some(cost) = &posting.bid_cost else {
            return Some(DeclineReason::Rule {
                rule,
                why: "the posting does not tell what a bid costs".to_owned(),
            });
        };
        (cost.units > most).then(|| DeclineReason::Rule {
            rule,
            why: format!("a bid costs {} {}, over {most}", cost.units, cost.unit),
        })
    }
}

impl Evaluator for RuleSet {
    fn evaluate(&self, posting: &Posting, now: Timestamp) -> Decision {
        if let Some(reason) = self.objection(posting, now) {
            return Decision::Declined(reason);
        }
        let percent = i128::from(self.bid.amount_percent.unwrap_or(100));
        let amount = posting.budget.bid_amount().and_then(|m| {
            let minor = i64::try_from(i128::from(m.minor) * percent / 100).ok()?;
            Some(Money { minor, ..m })
        });
        Decision::Suitable {
            amount,
            proposal: fill_in(self.bid.proposal.as_deref().unwrap_or_default(), posting),
            explanation: Some("fits the rules".to_owned()),
        }
    }
}

fn words(
    rules: &WordRules,
    any: &'static str,
    all: &'static str,
    none: &'static str,
    has: impl Fn(&str) -> bool,
) -> Option<DeclineReason> {
    if !rules.any.is_empty() && !rules.any.iter().any(|w| has(w)) {
        return Some(DeclineReason::Rule { rule: any, why: format!("none of {}", rules.any.join(", ")) });
    }
    if let Some(missing) = rules.all.iter().find(|w| !has(w)) {
        return Some(DeclineReason::Rule { rule: all, why: format!("{missing} is missing") });
    }
    let found = rules.none.iter().find(|w| has(w))?;
    Some(DeclineReason::Rule { rule: none, why: format!("{found} is named") })
}

fn contains(list: &[String], text: &str) -> bool {
    list.iter().any(|item| fold(item) == fold(text))
}

/// Lower case, and everything that is no letter, digit, `+` or `#` as one blank: `C++` stays what it is.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || c == '+' || c == '#' {
            folded.extend(c.to_lowercase());
        } else if !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.trim().to_owned()
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |v| v.to_string())
}

/// A placeholder that is none would reach the client as it is.
///
/// # Errors
/// The text holds `{word}` with a word that is not `title` or `url`; `what` is what the error calls the text.
pub fn check_template(what: &str, template: &str) -> Result<(), RulesError> {
    for (at, _) in template.match_indices('{') {
        let Some(end) = template[at..].find('}') else { continue };
        let word = &template[at + 1..at + end];
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ');
        if is_word && !matches!(word, "title" | "url") {
            return Err(RulesError(format!(
                "{what} holds {{{word}}}, which stands for nothing; there are {{title}} and {{url}}"
            )));
        }
    }
    Ok(())
}

fn fill_in(template: &str, posting: &Posting) -> String {
    // One pass, so that a title that holds `{url}` is not filled in again.
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        let (value, len) = if rest[at..].starts_with("{title}") {
            (posting.title.as_str(), 7)
        } else if rest[at..].starts_with("{url}") {
            (posting.url.as_deref().unwrap_or_default(), 5)
        } else {
            ("{", 1)
        };
        filled.push_str(value);
        rest = &rest[at + len..];
    }
    filled + rest
}

fn minor(name: &str, text: Option<&str>, currency: Currency) -> Result<Option<i64>, RulesError> {
    let Some(text) = text else { return Ok(None) };
    match bidlock_market::parse_amount(text, currency) {
        Some(money) => Ok(Some(money.minor)),
        None => Err(RulesError(format!(
            "{name}: `{text}` is no amount of {currency}, such as \"250\" or \"49.50\""
        ))),
    }
}
