//! Rows that are to be made, as the arguments of the statement that makes them.

use bidlock_postgres::{Argument, Result};
use uuid::Uuid;

use super::{events, row::array};
use crate::{Bid, Payload, chain, line::Line};

/// A row to be made for a request, with its first event as it is stored.
pub(super) struct Draft<'a, W> {
    pub(super) wanted: &'a W,
    pub(super) bid: Bid,
    detail: String,
    hash: [u8; 32],
}

impl<'a, W> Draft<'a, W> {
    pub(super) fn new(wanted: &'a W, bid: Bid, line: Line, at_ms: i64) -> Result<Draft<'a, W>> {
        let event = events::event(None, at_ms, &bid, line);
        let hash = events::hash_bytes(&event)?;
        Ok(Draft { wanted, bid, detail: chain::canonical(&event.detail), hash })
    }
}

/// What every statement that makes rows takes, column by column.
pub(super) struct DraftColumns<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) marketplaces: Vec<&'a str>,
    pub(super) postings: Vec<&'a str>,
    pub(super) claims: Vec<Uuid>,
    pub(super) epochs: Vec<i64>,
    pub(super) holders: Vec<&'a str>,
    pub(super) keys: Vec<Uuid>,
    pub(super) payload: PayloadColumns<'a>,
    pub(super) details: Vec<&'a str>,
    pub(super) hashes: Vec<&'a [u8]>,
}

impl<'a> DraftColumns<'a> {
    pub(super) fn of<W>(drafts: &'a [Draft<'a, W>]) -> DraftColumns<'a> {
        let each = || drafts.iter();
        DraftColumns {
            ids: each().map(|d| d.bid.id.0).collect(),
            marketplaces: each().map(|d| d.bid.posting.marketplace()).collect(),
            postings: each().map(|d| d.bid.posting.posting()).collect(),
            claims: each().map(|d| d.bid.claim_id.0).collect(),
            epochs: each().map(|d| d.bid.epoch.0).collect(),
            holders: each().map(|d| d.bid.claimant.holder.as_str()).collect(),
            keys: each().map(|d| d.bid.idempotency_key).collect(),
            payload: PayloadColumns::of(each().map(|d| &d.bid.payload)),
            details: each().map(|d| d.detail.as_str()).collect(),
            hashes: each().map(|d| d.hash.as_slice()).collect(),
        }
    }
}

/// A payload's columns.
pub(super) struct PayloadColumns<'a> {
    amounts: Vec<Option<i64>>,
    currencies: Vec<Option<&'a str>>,
    urls: Vec<Option<&'a str>>,
    via: Vec<&'a str>,
    evaluations: Vec<Option<&'a str>>,
    proposals: Vec<&'a str>,
}

impl<'a> PayloadColumns<'a> {
    pub(super) fn of(payloads: impl Iterator<Item = &'a Payload> + Clone) -> PayloadColumns<'a> {
        let each = || payloads.clone();
        PayloadColumns {
            amounts: each().map(|p| p.amount.map(|m| m.minor)).collect(),
            currencies: each().map(|p| p.amount.as_ref().map(|m| m.currency.as_str())).collect(),
            urls: each().map(|p| p.posting_url.as_deref()).collect(),
            via: each().map(|p| p.via.as_str()).collect(),
            evaluations: each().map(|p| p.evaluation.as_deref()).collect(),
            proposals: each().map(|p| p.proposal.as_str()).collect(),
        }
    }

    pub(super) fn arguments(&self) -> [Argument<'_>; 6] {
        [
            array(&self.amounts),
            array(&self.currencies),
            array(&self.urls),
            array(&self.via),
            array(&self.evaluations),
            array(&self.proposals),
        ]
    }
}
