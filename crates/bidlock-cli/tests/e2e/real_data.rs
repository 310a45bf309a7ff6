//! Four scanner processes started together on each folder of real postings, one empty data folder, and a
//! marketplace that accepts duplicates: exactly one submission for each distinct posting.

use crate::kit::{
    Stage,
    real::{self, CRAWLS, PAIR},
};

/// Scans a folder with four processes at once and checks everything that bidlock promises.
async fn one_bid_each(test: &str, folder: &str) {
    let Some(feed) = real::real(test, folder) else { return };
    let stage = Stage::new("duplicates=accepted").await;
    let scans = real::start(&stage, &feed, &[]);
    real::end(&stage, &feed, scans);
    assert_eq!(stage.states(), feed.settled());
    stage.sandbox.stop().await;
}

macro_rules! real_data {
    ($($name:ident: $folder:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            one_bid_each(stringify!($name), $folder).await;
        }
    )*};
}

real_data! {
    real_data_upwork_rss: "upwork_rss";
    real_data_two_fetches_minutes_apart_give_the_same_thirty: PAIR;
    real_data_upwork_search: "upwork_search";
    real_data_upwork_feed_2018: "upwork_feed_2018";
    real_data_job_board_crawls: CRAWLS;
    real_data_freelancer_com: "freelancer_com";
    real_data_remoteok: "remoteok";
    real_data_jobposting_jsonld: "jobposting_jsonld";
}
