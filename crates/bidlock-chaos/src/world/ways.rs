//! The ways between every process and everything it talks to: one proxy each, so that one process alone can be cut off.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::{
    error::RigError,
    fault::{Place, Target},
    history::{ReplyLost, What},
    proxy::{Proxy, Weather},
    world::recorder::Recorder,
};

/// Every way there is, by process and place. They stay through all incarnations of a process.
#[derive(Debug, Default)]
pub(crate) struct Ways(BTreeMap<(String, Place), Proxy>);

impl Ways {
    /// Opens the way of a process to a place that is found at this address. Which answers are lost on it is recorded.
    ///
    /// # Errors
    /// No port can be listened at.
    pub(crate) async fn open(
        &mut self,
        process: &str,
        place: Place,
        at: SocketAddr,
        recorder: &Arc<Recorder>,
    ) -> Result<(), RigError> {
        let (name, recorder) = (process.to_owned(), Arc::clone(recorder));
        let lost =
            move |port| recorder.add(What::ReplyLost(ReplyLost { process: name.clone(), place, port }));
        let proxy = Proxy::to(at, lost).await.map_err(RigError::proxy)?;
        self.0.insert((process.to_owned(), place), proxy);
        Ok(())
    }

    /// Where a process finds a place.
    pub(crate) fn address(&self, process: &str, place: Place) -> Option<SocketAddr> {
        self.0.get(&(process.to_owned(), place)).map(Proxy::address)
    }

    /// The ways that a fault hits.
    pub(crate) fn hit<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Proxy> {
        let hit = |(process, place): &(String, Place)| target.hits(process) && target.place == Some(*place);
        self.0.iter().filter(move |(way, _)| hit(way)).map(|(_, proxy)| proxy)
    }

    /// Changes the weather on the ways that a fault hits.
    pub(crate) fn set(&self, target: &Target, weather: Weather) {
        self.hit(target).for_each(|proxy| proxy.set(weather));
    }

    /// Everything comes through again.
    pub(crate) fn heal(&self, target: &Target) {
        self.hit(target).for_each(Proxy::heal);
    }
}
