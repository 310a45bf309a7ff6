//! [`Budget`]: what a client offers, with its kind and currency.

use bidlock_ledger::Money;
use serde::{Deserialize, Serialize};

/// What a client offers for the work. Amounts are whole minor units, never floats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How the offer is meant.
    pub kind: BudgetKind,
    /// The amount, or the lower end.
    pub low: Option<Money>,
    /// The upper end, where there are two.
    pub high: Option<Money>,
    /// What time one amount pays for; `None` where it pays for the whole work.
    pub per: Option<Period>,
}

/// How an offer is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// One amount for the whole work.
    Fixed,
    /// A rate per hour, or a range of rates; the amounts may be missing.
    Hourly,
    /// Two bounds, for the whole work or (a salary) for a [`Period`].
    Range,
    /// The source names no budget.
    #[default]
    None,
}

/// The time that one amount pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Budget {
    /// Makes a budget from one or two amounts: sorts them, and tells the kind from their number and the period.
    pub fn from_amounts(low: Option<Money>, high: Option<Money>, per: Option<Period>) -> Budget {
        let (low, high) = match (low, high) {
            (Some(a), Some(b)) if a.currency == b.currency && a.minor > b.minor => (Some(b), Some(a)),
            (Some(a), Some(b)) if a == b => (Some(a), None),
            (Some(a), Some(b)) if a.currency != b.currency => (Some(a), None),
            other => other,
        };
        let kind = match (per, low, high) {
            (_, None, None) => BudgetKind::None,
            (Some(Period::Hour), _, _) => BudgetKind::Hourly,
            (Some(_), _, _) | (None, _, Some(_)) => BudgetKind::Range,
            (None, Some(_), None) => BudgetKind::Fixed,
        };
        let per = if kind == BudgetKind::None { None } else { per };
        Budget { kind, low, high, per }
    }

    /// An hourly budget whose rates may be missing.
    pub fn hourly(low: Option<Money>, high: Option<Money>) -> Budget {
        Budget {
            kind: BudgetKind::Hourly,
            per: Some(Period::Hour),
            ..Budget::from_amounts(low, high, Some(Period::Hour))
        }
    }

    /// The amount to bid where no rule says otherwise: the fixed amount, or the lower bound of a range or
    /// of an hourly rate. `None` where the source names no such amount ("up to 500" has no lower bound).
    pub fn bid_amount(&self) -> Option<Money> {
        match self.kind {
            BudgetKind::Fixed | BudgetKind::Hourly | BudgetKind::Range => self.low,
            BudgetKind::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::Currency;

    use super::*;

    fn usd(minor: i64) -> Option<Money> {
        Some(Money { minor, currency: Currency::USD })
    }

    #[test]
    fn the_kind_follows_from_amounts_and_period() {
        let cases = [
            (usd(500), None, None, BudgetKind::Fixed, usd(500)),
            (usd(500), usd(500), None, BudgetKind::Fixed, usd(500)),
            (usd(900), usd(500), None, BudgetKind::Range, usd(500)),
            (usd(900), None, Some(Period::Hour), BudgetKind::Hourly, usd(900)),
            (usd(900), usd(1000), Some(Period::Year), BudgetKind::Range, usd(900)),
            (None, usd(1000), None, BudgetKind::Range, None),
            (None, None, Some(Period::Hour), BudgetKind::None, None),
        ];
        for (low, high, per, kind, bid) in cases {
            let budget = Budget::from_amounts(low, high, per);
            assert_eq!((budget.kind, budget.bid_amount()), (kind, bid), "{low:?} {high:?} {per:?}");
        }
        assert_eq!(Budget::hourly(None, None).kind, BudgetKind::Hourly);
        assert_eq!(Budget::hourly(None, None).bid_amount(), None);
    }
}
