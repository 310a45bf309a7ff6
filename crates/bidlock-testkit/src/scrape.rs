//! What was counted, as a scrape shows it.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// A recorder of a test's own, rendered by the exporter that users have; with buckets, so that histograms are
/// histograms.
pub struct Scrape {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Default for Scrape {
    fn default() -> Scrape {
        let recorder = PrometheusBuilder::new().set_buckets(&[0.5, 5.0]).unwrap().build_recorder();
        Scrape { handle: recorder.handle(), recorder }
    }
}

impl Scrape {
    /// With nothing counted.
    pub fn new() -> Scrape {
        Scrape::default()
    }

    /// Makes what takes its instruments from this recorder.
    pub fn within<T>(&self, make: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, make)
    }

    /// The whole scrape.
    pub fn text(&self) -> String {
        self.handle.render()
    }

    /// The value of one line: name and labels as they stand.
    #[track_caller]
    pub fn value(&self, line: &str) -> f64 {
        let text = self.text();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
    }
}
