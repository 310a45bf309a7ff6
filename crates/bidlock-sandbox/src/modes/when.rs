//! To which submissions a fault happens, and how long a drawn span is.

use std::time::Duration;

/// To which submissions a fault happens.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// To all.
    Always,
    /// To this share of them, from 0 to 1.
    Rate(f64),
    /// To the first so many that the sandbox receives (as its record counts them).
    First(u64),
    /// To the first so many of each posting.
    Each(u64),
    /// To those for the posting with this id, on any marketplace.
    Posting(String),
}

/// One request, as far as it matters for whether a fault happens to it.
#[derive(Clone, Debug)]
pub struct Occasion<'a> {
    /// The marketplace named in the request.
    pub marketplace: &'a str,
    /// The posting named in the request.
    pub posting: &'a str,
    /// How many submissions there were before, in all.
    pub nth: u64,
    /// How many submissions there were before for this posting.
    pub nth_of_posting: u64,
}

impl When {
    /// Whether it happens on this occasion. `fault` and `seed` choose the draw.
    pub fn hits(&self, seed: u64, fault: &str, on: &Occasion<'_>) -> bool {
        match self {
            When::Always => true,
            When::Rate(rate) => draw(seed, fault, on) < *rate,
            When::First(n) => on.nth < *n,
            When::Each(n) => on.nth_of_posting < *n,
            When::Posting(id) => id == on.posting,
        }
    }
}

/// A length of time, fixed or drawn evenly between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub least: Duration,
    /// The longest; equal to `least` where it is fixed.
    pub most: Duration,
}

impl Span {
    /// The length on this occasion.
    pub fn on(&self, seed: u64, fault: &str, on: &Occasion<'_>) -> Duration {
        let range = self.most.saturating_sub(self.least);
        // A tag of its own, so that the length does not depend on whether a rate hit.
        self.least + range.mul_f64(draw(seed, &format!("span of {fault}"), on))
    }
}

/// An even number in `0.0..1.0` that depends on nothing but its arguments. BLAKE3 rather than a random
/// generator's stream, since the order of arrival must not matter.
pub(crate) fn draw(seed: u64, tag: &str, on: &Occasion<'_>) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in [tag, on.marketplace, on.posting] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&on.nth_of_posting.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // 53 bits fit a double exactly.
    (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(posting: &str, nth: u64, nth_of_posting: u64) -> Occasion<'_> {
        Occasion { marketplace: "m", posting, nth, nth_of_posting }
    }

    #[test]
    fn a_rate_hits_its_share_and_depends_on_the_seed_but_not_on_the_order() {
        let hits = |seed: u64| -> Vec<bool> {
            (0..10_000).map(|n| When::Rate(0.1).hits(seed, "reset", &on(&format!("p{n}"), n, 0))).collect()
        };
        let share = hits(1).iter().filter(|hit| **hit).count();
        assert!((900..1100).contains(&share), "{share}");
        assert_ne!(hits(1), hits(2));
        let rate = When::Rate(0.5);
        assert_eq!(rate.hits(1, "reset", &on("p", 0, 3)), rate.hits(1, "reset", &on("p", 99, 3)));
        assert!(!When::Rate(0.0).hits(1, "reset", &on("p", 0, 0)));
        assert!(When::Rate(1.0).hits(1, "reset", &on("p", 0, 0)));
    }

    #[test]
    fn counts_and_postings_hit_what_they_name() {
        assert!(When::First(2).hits(0, "x", &on("p", 1, 0)) && !When::First(2).hits(0, "x", &on("p", 2, 0)));
        assert!(When::Each(1).hits(0, "x", &on("p", 9, 0)) && !When::Each(1).hits(0, "x", &on("p", 9, 1)));
        let posting = When::Posting("p".to_owned());
        assert!(posting.hits(0, "x", &on("p", 9, 9)) && !posting.hits(0, "x", &on("q", 0, 0)));
    }

    #[test]
    fn a_span_stays_within_its_ends() {
        let span = Span { least: Duration::from_millis(10), most: Duration::from_millis(20) };
        for n in 0..100 {
            let drawn = span.on(7, "delay", &on("p", n, n));
            assert!((span.least..=span.most).contains(&drawn));
        }
    }
}
