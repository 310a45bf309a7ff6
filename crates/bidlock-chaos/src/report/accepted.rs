//! What S1 looked at, in words: why more bids may be accepted than there are postings, and none of them is one too many.

use std::collections::BTreeMap;

use super::{
    Report,
    words::{count, number},
};
use crate::checker::{ACCEPTED, Finding, Invariant, POSTINGS, SECOND_BIDS};

/// How many submissions were accepted, on how many postings; which of them were second bids, and how many were forbidden.
pub(super) fn told(report: &Report<'_>) -> String {
    let nothing = BTreeMap::new();
    let of_s1 = report.findings.iter().find(|finding| finding.invariant == Invariant::S1);
    sentence(of_s1.map_or(&nothing, |finding| &finding.looked_at))
}

/// What an invariant looked at, with numbers.
pub(super) fn looked_at(finding: &Finding) -> String {
    let is_s1 = finding.invariant == Invariant::S1;
    let in_sentence = |what: &str| is_s1 && [ACCEPTED, POSTINGS, SECOND_BIDS].contains(&what);
    let rest = finding.looked_at.iter().filter(|(what, n)| **n > 0 && !in_sentence(what));
    let rest = rest.map(|(what, n)| format!("{} {what}", number(*n)));
    is_s1.then(|| sentence(&finding.looked_at)).into_iter().chain(rest).collect::<Vec<_>>().join(", ")
}

fn sentence(looked_at: &BTreeMap<String, u64>) -> String {
    let of = |what: &str| looked_at.get(what).copied().unwrap_or_default();
    let (accepted, postings, second) = (of(ACCEPTED), of(POSTINGS), of(SECOND_BIDS));
    let mut told = format!("{} accepted on {}", count(accepted, "submission"), count(postings, "posting"));
    if second > 0 {
        let bids = if second == 1 { "a second bid, made after its" } else { "second bids, each after its" };
        told += &format!(
            "; {} of them {bids} posting was freed by a recorded withdrawal or a person",
            number(second)
        );
    }
    match accepted.saturating_sub(postings + second) {
        0 => told,
        forbidden => format!("{told}; {} of them beyond one a posting, and not permitted", number(forbidden)),
    }
}

#[cfg(test)]
mod tests {
    use bidlock_ledger::{Action, BidState};
    use serde_json::json;

    use super::*;
    use crate::checker::{
        Checked,
        tests::made_up::{Row, Run, posting},
    };

    /// A posting with one bid, and one that was bid on again after the first bid was withdrawn.
    fn again(freed: bool) -> Checked {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.appears(2);
        let mut first = Row::claimed(2, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        first.bid.rebid_allowed = true;
        first.bid.external_ref = Some("b2".to_owned());
        run.request(1_020, &posting(2), first.bid.id, Some("b2"), None);
        let first = first.accept(1_040, "scanner-1.1", "b2").then(
            2_000,
            Action::Withdraw,
            BidState::Withdrawing,
            "operator:eve",
        );
        run.withdraws(2_050, "b2");
        let detail = json!({ "rebid_allowed": freed });
        let done = Some(Action::ConfirmWithdrawn);
        run.row(first.event(2_100, done, BidState::Withdrawn, "operator:eve", detail, Some("asked")));
        let second = Row::claimed(2, 2, 3_000, "scanner-2.1").door(3_010, "scanner-2.1");
        run.answer_ms = 0;
        run.request(3_020, &posting(2), second.bid.id, Some("b3"), None);
        run.row(second.accept(3_040, "scanner-2.1", "b3"));
        run.check()
    }

    #[test]
    fn a_forbidden_bid_is_not_counted_among_the_second_ones() {
        let told = |freed| {
            let checked = again(freed);
            let report = Report::of(&checked, "again");
            let told = told(&report);
            // All forms of the report say it; the text in lines that fit.
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&report.text()).contains(&told) && report.html().contains(&told), "{told}");
            assert_eq!(report.clean, freed);
            told
        };
        let second =
            "3 submissions accepted on 2 postings; 1 of them a second bid, made after its posting was freed";
        assert!(told(true).starts_with(second), "{}", told(true));
        assert_eq!(
            told(false),
            "3 submissions accepted on 2 postings; 1 of them beyond one a posting, and not permitted"
        );
    }

    #[test]
    fn a_violation_is_told_in_words_and_its_request_before_the_answer() {
        let checked = again(false);
        let report = Report::of(&checked, "again");
        let says = "at most one submission accepted per posting";
        assert!(report.text().contains(&format!("S1 VIOLATED, 1 time: {says}")), "{}", report.text());
        assert!(report.html().contains(&format!("<li><b>S1</b> does not hold: {says}")));
        let shown = &report.findings[0].violations[0].shown_by;
        let line = |text: &str| shown.iter().position(|line| line.text.starts_with(text)).unwrap();
        // Both are of one millisecond. The third request was the withdrawal.
        assert_eq!(line("request 4: answered"), line("request 4: …") + 1, "{shown:?}");
    }

    #[test]
    fn second_bids_that_were_permitted_are_told_apart_from_forbidden_ones() {
        let of = |accepted, postings, second| {
            let counts = [(ACCEPTED, accepted), (POSTINGS, postings), (SECOND_BIDS, second)];
            sentence(&counts.map(|(what, n)| (what.to_owned(), n)).into())
        };
        assert_eq!(of(1_727, 1_727, 0), "1,727 submissions accepted on 1,727 postings");
        assert_eq!(
            of(1_745, 1_727, 18),
            "1,745 submissions accepted on 1,727 postings; 18 of them second bids, each after its posting was freed by a \
             recorded withdrawal or a person"
        );
        assert_eq!(
            of(2, 1, 0),
            "2 submissions accepted on 1 posting; 1 of them beyond one a posting, and not permitted"
        );
    }
}
