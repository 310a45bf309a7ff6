//! What can be asked: standings, listings, counts, health.

use std::time::Duration;

use super::{Rig, fixtures::*};
use crate::{
    BidFilter, BidState, Cursor, ErrorKind, Move, Page, PostingId, Standing, WallTime, store::MAX_BATCH,
};

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Free => "free",
        Standing::TakeOver(_) => "take over",
        Standing::Approved(_) => "approved",
        Standing::Busy(_) => "busy",
        Standing::Taken(_) => "taken",
    }
}

/// Each state, live and expired, says what a scanner may do; in the order asked.
pub async fn standings_say_what_a_scanner_may_do(rig: &impl Rig) {
    let ledger = rig.open().await;
    let mut asked = vec![posting("never seen")];
    for state in BidState::ALL {
        asked.push(posting(state.as_str()));
        bid_in(&*ledger, &posting(state.as_str()), state).await;
    }
    let live = ledger.standing(&asked).await.unwrap();
    rig.advance(Duration::from_secs(7_200));
    let expired = ledger.standing(&asked).await.unwrap();
    for (at, id) in asked.iter().enumerate() {
        let expected = match id.posting() {
            "never seen" => ("free", "free"),
            "claimed" => ("busy", "take over"),
            "abandoned" => ("take over", "take over"),
            "approved" => ("approved", "taken"),
            "submitting" => ("busy", "taken"),
            _ => ("taken", "taken"),
        };
        assert_eq!((word(&live[at]), word(&expired[at])), expected, "{id}");
    }
    // Busy or free, `standing` and `claim` agree.
    assert!(granted(&*ledger, &posting("claimed"), "other").await.taken_over);
    assert_eq!(ledger.standing(&[]).await.unwrap(), []);
}

/// Pages follow each other without gap or repetition; each filter keeps what it names.
pub async fn filters_and_pages_cover_every_bid_once(rig: &impl Rig) {
    let ledger = rig.open().await;
    let mut made = Vec::new();
    for n in 0..25 {
        let state = if n % 3 == 0 { BidState::Submitted } else { BidState::Declined };
        let id =
            PostingId::new(if n % 2 == 0 { "examplework" } else { "otherwork" }, format!("{n}")).unwrap();
        made.push(bid_in(&*ledger, &id, state).await);
        rig.advance(Duration::from_millis(10));
    }
    let listed = async |filter: BidFilter| {
        let (mut bids, mut page) = (Vec::new(), Page { after: None, limit: 4 });
        loop {
            let part = ledger.list(&filter, &page).await.unwrap();
            assert!(part.len() <= 4);
            let Some(last) = part.last() else { return bids };
            page.after = Some(Cursor(last.id));
            bids.extend(part);
        }
    };
    assert_eq!(listed(BidFilter::default()).await, made);
    let wanted = |keep: &dyn Fn(usize) -> bool| {
        made.iter().enumerate().filter(|(n, _)| keep(*n)).map(|(_, bid)| bid.clone()).collect::<Vec<_>>()
    };
    let marketplace = BidFilter { marketplace: Some("otherwork".to_owned()), ..BidFilter::default() };
    assert_eq!(listed(marketplace).await, wanted(&|n| n % 2 == 1));
    let submitted = BidFilter { states: vec![BidState::Submitted], ..BidFilter::default() };
    assert_eq!(listed(submitted.clone()).await, wanted(&|n| n % 3 == 0));
    let one = BidFilter {
        marketplace: Some("examplework".to_owned()),
        posting: Some("8".to_owned()),
        ..BidFilter::default()
    };
    assert_eq!(listed(one).await, wanted(&|n| n == 8));
    let time = BidFilter {
        since: Some(made[5].created_at),
        until: Some(made[9].created_at),
        ..BidFilter::default()
    };
    assert_eq!(listed(time).await, wanted(&|n| (5..9).contains(&n)));
    let all = ledger.count(&BidFilter::default()).await.unwrap();
    assert_eq!(all, [(BidState::Submitted, 9), (BidState::Declined, 16)]);
    assert_eq!(ledger.count(&submitted).await.unwrap(), [(BidState::Submitted, 9)]);
}

/// The count behind daily caps.
pub async fn sent_bids_are_counted_per_marketplace_and_time(rig: &impl Rig) {
    let ledger = rig.open().await;
    let first = bid_in(&*ledger, &posting("1"), BidState::Submitting).await;
    rig.advance(Duration::from_secs(10));
    bid_in(&*ledger, &posting("2"), BidState::Submitted).await;
    bid_in(&*ledger, &posting("3"), BidState::Claimed).await;
    moved(&*ledger, first.claim_ref(), door()).await;
    let began = first.first_sent_at.unwrap();
    let later = WallTime(began.0 + 1);
    assert_eq!(ledger.sent_since("examplework", began).await.unwrap(), 2);
    assert_eq!(ledger.sent_since("examplework", later).await.unwrap(), 2, "the last sending counts");
    assert_eq!(ledger.sent_since("examplework", WallTime(began.0 + 10_001)).await.unwrap(), 0);
    assert_eq!(ledger.sent_since("otherwork", began).await.unwrap(), 0);
    moved(&*ledger, first.claim_ref(), Move::HandBack).await;
    assert_eq!(ledger.sent_since("examplework", began).await.unwrap(), 1, "what came back was not accepted");
    for state in BidState::ALL {
        let before = ledger.sent_since("examplework", began).await.unwrap();
        bid_in(&*ledger, &posting(state.as_str()), state).await;
        let counted = ledger.sent_since("examplework", began).await.unwrap() - before;
        assert_eq!(counted, u64::from(state.may_have_arrived()), "{state}");
    }
}

/// Bounds are kept by refusing, not by cutting.
pub async fn oversized_batches_are_refused(rig: &impl Rig) {
    let ledger = rig.open().await;
    let most: Vec<PostingId> = (0..MAX_BATCH).map(|n| posting(&n.to_string())).collect();
    assert_eq!(ledger.standing(&most).await.unwrap().len(), MAX_BATCH);
    let more: Vec<PostingId> = (0..=MAX_BATCH).map(|n| posting(&n.to_string())).collect();
    assert_eq!(ledger.standing(&more).await.unwrap_err().kind(), ErrorKind::Invalid);
    let requests: Vec<_> = more.iter().map(|id| request(id, "here")).collect();
    assert_eq!(ledger.claim(&requests).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(ledger.count(&BidFilter::default()).await.unwrap(), []);
}

/// All openings see one ledger, and its check makes a durable write.
pub async fn every_opening_is_of_one_ledger_and_writable(rig: &impl Rig) {
    let (a, b) = (rig.open().await, rig.open().await);
    assert_eq!(a.ledger_id(), b.ledger_id());
    let health = b.check().await.unwrap();
    assert!(health.writable && health.schema_version >= 1, "{health:?}");
    assert_eq!(health.ledger_id, a.ledger_id());
}
