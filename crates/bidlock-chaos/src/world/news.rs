//! What the feeds show at each time: the newest postings, as the feed of a marketplace does, and at the end all of them.

use std::path::{Path, PathBuf};

use crate::{
    error::RigError,
    history::{FeedLine, Lines, RunFolder},
    plan::Plan,
    world::feed::{Made, Page},
};

/// How long a posting stays in the feed. Long enough for several looks of every scanner, also of one that was away for a
/// moment; what leaves it unseen is found by the last scan.
const WINDOW_MS: u64 = 8_000;
/// How often the feed is written anew.
const EVERY_MS: u64 = 250;
/// Every so many-th posting is one of those that a person decides on; they have a feed of their own.
const ASKED_EVERY: u32 = 50;
/// Postings in one file of the last scan.
const PER_PAGE: u32 = 2_000;
/// The most postings that a feed shows at once: what a marketplace's feed holds, and what a scanner reads in a moment.
const MAX_SHOWN: u32 = 2_000;

/// Writes the feeds.
#[derive(Debug)]
pub(crate) struct News {
    plan: Plan,
    feed: PathBuf,
    asked: PathBuf,
    record: Lines,
    /// How many postings have appeared.
    shown: u32,
    next_at_ms: u64,
}

impl News {
    /// Feeds that are still empty.
    ///
    /// # Errors
    /// A folder or a file can't be made.
    pub(crate) fn new(plan: &Plan, home: &Path, folder: &RunFolder) -> Result<News, RigError> {
        let (feed, asked) = (home.join("feed"), home.join("feed-asked"));
        for folder in [&feed, &asked] {
            std::fs::create_dir_all(folder).map_err(RigError::file(folder))?;
        }
        let record = Lines::create(&folder.feed())?;
        let mut news = News { plan: plan.clone(), feed, asked, record, shown: 0, next_at_ms: 0 };
        news.tend(0)?;
        Ok(news)
    }

    /// The feed of all scanners.
    pub(crate) fn feed(&self) -> PathBuf {
        self.feed.clone()
    }

    /// The feed of those that ask a person first.
    pub(crate) fn asked_feed(&self) -> PathBuf {
        self.asked.clone()
    }

    /// Shows what is new, if it is time.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn tend(&mut self, now_ms: u64) -> Result<(), RigError> {
        if now_ms < self.next_at_ms {
            return Ok(());
        }
        self.next_at_ms = now_ms + EVERY_MS;
        while self.shown < self.plan.postings && self.plan.appears_at(self.shown) <= now_ms {
            let made = Made::nth(self.plan.seed, self.shown);
            let posting = made.id().map_err(|why| RigError::File {
                path: self.feed.clone(),
                source: std::io::Error::other(why),
            })?;
            let gone_ms = self.gone_at(self.shown);
            self.record.add(&FeedLine { at_ms: now_ms, gone_ms, posting, written: made.written() })?;
            self.shown += 1;
        }
        self.record.flush()?;
        let first = (self.shown.saturating_sub(MAX_SHOWN)..self.shown)
            .find(|n| self.gone_at(*n).is_none_or(|gone| gone > now_ms))
            .unwrap_or(self.shown);
        self.write("new", first..self.shown)
    }

    /// Shows what should have appeared by now: the last look may have been late, on a host that is slow.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn catch_up(&mut self, now_ms: u64) -> Result<(), RigError> {
        self.next_at_ms = 0;
        self.tend(now_ms)
    }

    /// When a posting leaves the feed: of age, or pushed out by newer ones. The feed stays as it is from the end of the
    /// faults on.
    fn gone_at(&self, n: u32) -> Option<u64> {
        let pushed_out = self.plan.appears_at(n.saturating_add(MAX_SHOWN));
        let gone = (self.plan.appears_at(n) + WINDOW_MS).min(pushed_out);
        (gone < self.plan.runs_ms).then_some(gone)
    }

    /// Shows every posting of the run. By now all have appeared.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn show_all(&self) -> Result<(), RigError> {
        for first in (0..self.plan.postings).step_by(PER_PAGE as usize) {
            let page = first..self.plan.postings.min(first + PER_PAGE);
            self.write(&format!("all-{first:07}"), page)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, postings: std::ops::Range<u32>) -> Result<(), RigError> {
        let seed = self.plan.seed;
        let asks = |n: &u32| self.plan.asking > 0 && n.is_multiple_of(ASKED_EVERY);
        let page =
            |asked: bool| Page::of(postings.clone().filter(|n| asks(n) == asked).map(|n| Made::nth(seed, n)));
        page(false).write(&self.feed, name).map_err(RigError::file(&self.feed))?;
        page(true).write(&self.asked, name).map_err(RigError::file(&self.asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::read_lines,
        plan::{Engines, Order},
    };

    #[test]
    fn whatever_was_to_appear_is_in_the_record_however_late_the_last_look_was() {
        let home = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(home.path());
        let engines = Engines::Sqlite;
        let order =
            Order { seed: 1, engines, runs_ms: 4_000, postings: 240, scanners: 3, faults_per_minute: 0 };
        let plan = Plan::draw(&order);
        let mut news = News::new(&plan, home.path(), &folder).unwrap();
        news.tend(3_750).unwrap();
        news.catch_up(3_900).unwrap();
        let mut recorded = 0;
        read_lines(&folder.feed(), |_: FeedLine| {
            recorded += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(recorded, plan.postings);
    }
}
