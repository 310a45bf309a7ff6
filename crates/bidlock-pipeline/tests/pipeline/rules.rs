//! Every key of a rules file: what it declines, what it lets pass, and every way in which a file is wrong.

use bidlock_ledger::{Currency, Money};
use bidlock_market::{BidCost, Budget, Client, Posting};
use bidlock_pipeline::{Decision, DeclineReason, Evaluator, EverythingSuits, RuleSet};

use crate::rig::{now, posting, usd};

fn money(minor: i64, code: &str) -> Option<Money> {
    Some(Money { minor, currency: Currency::new(code).unwrap() })
}

/// A posting that tells all that rules may ask for.
fn rich() -> Posting {
    Posting {
        title: "Dashboard in C++".to_owned(),
        description: "Charts, no WordPress please.".to_owned(),
        skills: vec!["Rust".to_owned(), "Data-Science".to_owned()],
        budget: Budget::hourly(Some(usd(4_000)), Some(usd(6_000))),
        client: Client {
            country: Some("Germany".to_owned()),
            rating: Some(4.5),
            reviews: Some(12),
            payment_verified: Some(true),
            ..Client::default()
        },
        bid_cost: Some(BidCost { units: 8, unit: "connects".to_owned() }),
        proposals: Some(10),
        posted_at: Some(now() - std::time::Duration::from_secs(3_600)),
        ..posting("1")
    }
}

fn fixed(minor: i64, code: &str) -> Posting {
    Posting { budget: Budget::from_amounts(money(minor, code), None, None), ..rich() }
}

/// Tells nothing but its title.
fn bare() -> Posting {
    Posting { budget: Budget::default(), ..posting("1") }
}

/// The rule that declines, or `-`.
fn objection(rules: &str, posting: &Posting) -> &'static str {
    let rules = RuleSet::parse("r.toml", rules).unwrap();
    match rules.evaluate(posting, now()) {
        Decision::Suitable { .. } => "-",
        Decision::Declined(DeclineReason::Rule { rule, why }) => {
            assert!(!why.is_empty());
            rule
        }
        Decision::Declined(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_key_declines_what_it_names_and_lets_the_rest_pass() {
    let table: &[(&str, Posting, &str)] = &[
        ("", rich(), "-"),
        ("", bare(), "-"),
        // Words: whole ones, in any case, with signs that belong to a name.
        ("skills.any = ['python', 'rust']", rich(), "-"),
        ("skills.any = ['python']", rich(), "skills.any"),
        ("skills.any = ['rust']", bare(), "skills.any"),
        ("skills.all = ['RUST', 'data science']", rich(), "-"),
        ("skills.all = ['rust', 'python']", rich(), "skills.all"),
        ("skills.none = ['rust']", rich(), "skills.none"),
        ("skills.none = ['rus']", rich(), "-"),
        ("keywords.any = ['c++']", rich(), "-"),
        ("keywords.any = ['c']", rich(), "keywords.any"),
        ("keywords.all = ['dashboard', 'charts']", rich(), "-"),
        ("keywords.all = ['dashboard', 'maps']", rich(), "keywords.all"),
        ("keywords.none = ['wordpress']", rich(), "keywords.none"),
        ("keywords.none = ['press']", rich(), "-"),
        // Budget. An hourly one is never measured by a fixed one's limit, nor dollars by euros.
        ("budget.required = true", bare(), "budget.required"),
        ("budget.required = true", rich(), "-"),
        ("budget.kinds = ['fixed']", rich(), "budget.kinds"),
        ("budget.kinds = ['fixed']", bare(), "-"),
        ("budget.kinds = ['fixed', 'hourly']", rich(), "-"),
        ("budget.currencies = ['EUR']", rich(), "budget.currencies"),
        ("budget.currencies = ['eur', 'usd']", rich(), "-"),
        ("[[budget.limit]]\ncurrency='USD'\nkind='hourly'\nmin='60'", rich(), "-"),
        ("[[budget.limit]]\ncurrency='USD'\nkind='hourly'\nmin='60.01'", rich(), "budget.limit"),
        ("[[budget.limit]]\ncurrency='USD'\nkind='hourly'\nmax='40'", rich(), "-"),
        ("[[budget.limit]]\ncurrency='USD'\nkind='hourly'\nmax='39.99'", rich(), "budget.limit"),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmin='1000'", rich(), "-"),
        ("[[budget.limit]]\ncurrency='EUR'\nkind='hourly'\nmin='1000'", rich(), "-"),
        // Minor units are the currency's own: yen have none, dinars have three digits.
        ("[[budget.limit]]\ncurrency='JPY'\nkind='fixed'\nmin='500'", fixed(500, "JPY"), "-"),
        ("[[budget.limit]]\ncurrency='JPY'\nkind='fixed'\nmin='500'", fixed(499, "JPY"), "budget.limit"),
        ("[[budget.limit]]\ncurrency='KWD'\nkind='fixed'\nmin='1.5'", fixed(1_500, "KWD"), "-"),
        ("[[budget.limit]]\ncurrency='KWD'\nkind='fixed'\nmin='1.5'", fixed(1_499, "KWD"), "budget.limit"),
        // The client. What is not known is not assumed.
        ("client.countries = ['germany', 'France']", rich(), "-"),
        ("client.countries = ['France']", rich(), "client.countries"),
        ("client.countries = ['France']", bare(), "client.countries"),
        ("client.not_countries = ['GERMANY']", rich(), "client.not_countries"),
        ("client.not_countries = ['France']", bare(), "-"),
        ("client.payment_verified = true", rich(), "-"),
        ("client.payment_verified = true", bare(), "client.payment_verified"),
        ("client.payment_verified = false", bare(), "-"),
        ("client.min_rating = 4.5", rich(), "-"),
        ("client.min_rating = 4.6", rich(), "client.min_rating"),
        ("client.min_rating = 1.0", bare(), "client.min_rating"),
        ("client.min_reviews = 12", rich(), "-"),
        ("client.min_reviews = 13", rich(), "client.min_reviews"),
        ("client.min_reviews = 1", bare(), "client.min_reviews"),
        // The posting.
        ("posting.max_age = '2h'", rich(), "-"),
        ("posting.max_age = '30m'", rich(), "posting.max_age"),
        ("posting.max_age = '30m'", bare(), "posting.max_age"),
        ("posting.max_proposals = 10", rich(), "-"),
        ("posting.max_proposals = 9", rich(), "posting.max_proposals"),
        ("posting.max_proposals = 9", bare(), "posting.max_proposals"),
        ("posting.marketplaces = ['M']", rich(), "-"),
        ("posting.marketplaces = ['upwork']", rich(), "posting.marketplaces"),
        ("", Posting { biddable: Some(false), ..rich() }, "posting"),
        ("", Posting { biddable: Some(true), ..rich() }, "-"),
        ("cost.max_units = 8", rich(), "-"),
        ("cost.max_units = 7", rich(), "cost.max_units"),
        ("cost.max_units = 7", bare(), "cost.max_units"),
    ];
    for (rules, posting, expected) in table {
        assert_eq!(objection(rules, posting), *expected, "{rules}\n{posting:?}");
    }
}

#[test]
fn a_country_may_stand_as_the_location() {
    let posting = Posting { location: Some("Germany".to_owned()), ..bare() };
    assert_eq!(objection("client.countries = ['Germany']", &posting), "-");
    assert_eq!(objection("client.not_countries = ['Germany']", &posting), "client.not_countries");
}

fn suitable(rules: &str, posting: &Posting) -> (Option<Money>, String, Option<String>) {
    match RuleSet::parse("r", rules).unwrap().evaluate(posting, now()) {
        Decision::Suitable { amount, proposal, explanation } => (amount, proposal, explanation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_bid_is_the_postings_amount_by_percent_and_the_proposal_is_filled_in_once() {
    let (amount, proposal, explanation) = suitable(
        "[bid]\namount_percent = 95\nproposal = 'Hi: {title} at {url} { braces: {} } {title'",
        &Posting { title: "A {url} trap".to_owned(), ..rich() },
    );
    assert_eq!(amount, Some(usd(3_800)));
    assert_eq!(proposal, "Hi: A {url} trap at https://market.example/p/1 { braces: {} } {title");
    assert!(explanation.is_some());
    assert_eq!(suitable("", &bare()).0, None);
    assert_eq!(suitable("bid.amount_percent = 33", &fixed(100, "JPY")).0, money(33, "JPY"));
    // An amount that no bid can have is none, rather than a wrong one.
    assert_eq!(suitable("bid.amount_percent = 1000", &fixed(i64::MAX, "USD")).0, None);
    let rules = RuleSet::parse("r", "").unwrap().with_default_proposal("default {title}".to_owned());
    let Decision::Suitable { proposal, .. } = rules.evaluate(&bare(), now()) else { panic!() };
    assert_eq!(proposal, "default Posting 1");
}

#[test]
fn without_rules_everything_suits_at_its_own_budget() {
    let evaluator = EverythingSuits { proposal: "{title}".to_owned() };
    let decide = |p: &Posting| match evaluator.evaluate(p, now()) {
        Decision::Suitable { amount, .. } => amount,
        other => panic!("{other:?}"),
    };
    assert_eq!(decide(&posting("1")), Some(usd(25_000)));
    assert_eq!(decide(&rich()), Some(usd(4_000)), "the lower bound of a rate");
    assert_eq!(decide(&bare()), None);
}

#[test]
fn a_placeholder_that_stands_for_nothing_and_a_limit_that_nothing_fits_are_refused() {
    for (rules, part) in [
        ("[bid]\nproposal = 'About {titel}'", "{titel}"),
        ("[bid]\nproposal = '{title}, {client name}'", "{client name}"),
        ("[[budget.limit]]\ncurrency = 'USD'\nkind = 'fixed'\nmin = '50'\nmax = '10'", "\"50\""),
    ] {
        let error = RuleSet::parse("r.toml", rules).unwrap_err().to_string();
        assert!(error.starts_with("r.toml: ") && error.contains(part), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_used_says_where_and_why() {
    for (rules, parts) in [
        ("skills = ", &["r.toml"][..]),
        ("skils.any = ['a']", &["r.toml", "skils", "skills"]),
        ("[skills]\nsome = ['a']", &["r.toml", "some", "any"]),
        ("[budget]\nmin = 3", &["r.toml", "min"]),
        ("skills.any = 'rust'", &["r.toml"]),
        ("budget.kinds = ['daily']", &["r.toml", "daily", "hourly"]),
        ("budget.currencies = ['EURO']", &["r.toml", "EURO", "three letters"]),
        ("[[budget.limit]]\ncurrency='USD'\nmin='1'", &["r.toml", "kind"]),
        ("[[budget.limit]]\nkind='fixed'\nmin='1'", &["r.toml", "currency"]),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmin='lots'", &["r.toml", "`lots`", "USD", "250"]),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmax='-1'", &["r.toml", "`-1`"]),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmin='inf'", &["r.toml", "`inf`"]),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmin='NaN'", &["r.toml", "`NaN`"]),
        ("[[budget.limit]]\ncurrency='USD'\nkind='fixed'\nmin='1e3'", &["r.toml", "`1e3`"]),
        ("posting.max_age = 'soon'", &["r.toml", "posting.max_age", "soon", "36h"]),
        ("posting.max_age = '-1h'", &["r.toml", "posting.max_age", "-1h"]),
        ("posting.max_proposals = -1", &["r.toml"]),
        ("client.min_rating = nan", &["r.toml", "client.min_rating"]),
        ("bid.amount_percent = 0", &["r.toml", "bid.amount_percent", "between 1 and 1000"]),
        ("bid.amount_percent = 1001", &["r.toml", "bid.amount_percent"]),
    ] {
        let error = RuleSet::parse("r.toml", rules).map(drop).expect_err(rules).to_string();
        for part in parts {
            assert!(error.contains(part), "{rules}\n{error}\nmust name {part}");
        }
    }
}
