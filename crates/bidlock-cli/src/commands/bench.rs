//! `bidlock bench`: how fast the locks of a Redis server are here, as other clients are compared by.

use bidlock::backends::redis::{RedisBackend, RedisOptions};
use bidlock::measure::{self, PeerLine};

use crate::{app::App, args::BenchArgs, exit::Exit, failure::CliError};

/// What the keys of these benchmarks begin with, ours and other clients'.
const KEY_PREFIX: &str = "peer:";

/// Runs it.
pub(crate) async fn run(app: &App, args: BenchArgs) -> Result<Exit, CliError> {
    let [url, scale] = <[String; 2]>::try_from(args.peer_json)
        .map_err(|_| CliError::usage("--peer-json takes a URL and a scale"))?;
    let scale: f64 =
        scale.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0).ok_or_else(|| {
            CliError::usage(format!("`{scale}` is no scale"))
                .hint("a number above zero: 1 measures each for 2 s")
        })?;
    // On a runtime of one thread: what is measured is the client, not the traffic between threads.
    let measured = tokio::task::spawn_blocking(move || measure_at(&url, scale)).await;
    let lines =
        measured.map_err(|error| CliError::unavailable(format!("the measuring thread broke: {error}")))??;
    for line in &lines {
        app.out.json_line(line)?;
    }
    Ok(Exit::Ok)
}

fn measure_at(url: &str, scale: f64) -> Result<Vec<PeerLine>, CliError> {
    let options = RedisOptions::from_url(url).and_then(|options| options.with_key_prefix(KEY_PREFIX));
    let options = options.map_err(CliError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async {
            let backend = RedisBackend::connect(options).await?;
            measure::peer_lines(&backend, scale).await
        })
        .map_err(CliError::from)
}
