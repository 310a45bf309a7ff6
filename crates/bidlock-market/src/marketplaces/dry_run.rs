//! A dry run: everything but the sending.

use std::time::Duration;

use async_trait::async_trait;
use bidlock_ledger::PostingId;

use crate::marketplace::{
    Answer, Approval, Capabilities, LookUpError, Marketplace, RemoteBid, Submission, WithdrawAnswer,
};

/// The name in the ledger and on the command line.
pub const VIA: &str = "dry-run";

/// A marketplace that never lets a request leave.
///
/// Its [`Capabilities::sends`] is false, so that the pipeline stops before it claims. Should it be asked to
/// submit all the same, it answers [`Answer::NotSent`], which is the truth.
#[derive(Clone, Copy, Debug, Default)]
pub struct DryRun;

#[async_trait]
impl Marketplace for DryRun {
    fn via(&self) -> &str {
        VIA
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            refuses_duplicates: false,
            looks_up: false,
            honours_idempotency_key: false,
            approval: Approval::NotNeeded,
            sends: false,
        }
    }

    fn time_limit(&self) -> Duration {
        Duration::ZERO
    }

    async fn submit(&self, _submission: &Submission) -> Answer {
        Answer::NotSent { detail: "a dry run sends nothing".to_owned() }
    }

    async fn look_up(&self, _posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        Err(LookUpError::Unsupported { via: VIA.to_owned() })
    }

    async fn withdraw(&self, _external_ref: &str) -> WithdrawAnswer {
        WithdrawAnswer::Unsupported
    }
}
