//! Where a run is, for whoever waits for it.

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How many planned faults have begun.
    pub faults: u64,
    /// How many submissions have reached the marketplace.
    pub submissions: u64,
}

/// The parts of a run, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Servers and processes start.
    #[default]
    Starting,
    /// Things are broken.
    Faults,
    /// Nothing is broken any more, and everything must come to rest.
    Quiet,
    /// One scan over everything, and a look-up of what is unknown.
    LastScan,
}
