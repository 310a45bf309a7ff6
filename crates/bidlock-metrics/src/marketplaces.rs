//! Which marketplaces may stand in a label. Names come from feeds, so that an open set would be anybody's to fill.

/// The label of every marketplace that is not allow-listed.
pub const OTHER: &str = "other";
/// How many names may be allow-listed; further ones count as [`OTHER`]. Each costs about sixty lines of a scrape.
pub const MAX_MARKETPLACES: usize = 64;

/// The marketplaces that have a label value of their own. The rest share [`OTHER`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marketplaces {
    /// In order, without [`OTHER`].
    names: Vec<String>,
}

impl Marketplaces {
    /// These, at most [`MAX_MARKETPLACES`] of them: the first ones count.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Marketplaces {
        let mut kept: Vec<String> = Vec::new();
        for name in names.into_iter().map(Into::into) {
            if kept.len() < MAX_MARKETPLACES && name != OTHER && !kept.contains(&name) {
                kept.push(name);
            }
        }
        kept.sort_unstable();
        Marketplaces { names: kept }
    }
}

/// Something for each marketplace that has a label value, and for all others together.
#[derive(Debug)]
pub struct ByMarketplace<T> {
    /// In order.
    named: Vec<(String, T)>,
    other: T,
}

impl<T> ByMarketplace<T> {
    /// Makes one for each label value.
    pub fn new(marketplaces: &Marketplaces, make: impl Fn(&str) -> T) -> ByMarketplace<T> {
        let named = marketplaces.names.iter().map(|name| (name.clone(), make(name))).collect();
        ByMarketplace { named, other: make(OTHER) }
    }

    /// The one of this marketplace.
    pub fn of(&self, marketplace: &str) -> &T {
        let found = self.named.binary_search_by(|(name, _)| name.as_str().cmp(marketplace));
        found.ok().and_then(|at| self.named.get(at)).map_or(&self.other, |(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_bounded_and_everything_else_is_other() {
        let marketplaces = Marketplaces::new(["upwork", "freelancer", "upwork", "other"]);
        let labels = ByMarketplace::new(&marketplaces, str::to_owned);
        for (marketplace, label) in
            [("upwork", "upwork"), ("freelancer", "freelancer"), ("x", OTHER), ("", OTHER)]
        {
            assert_eq!(labels.of(marketplace), label);
        }
        let many = Marketplaces::new((0..1_000).map(|n| format!("m{n}")));
        let labels = ByMarketplace::new(&many, str::to_owned);
        assert_eq!((labels.of("m63").as_str(), labels.of("m64").as_str()), ("m63", OTHER));
    }
}
