//! Whether an engine may be missing.

/// Says that `engine` can't be tested here because of `why`. Prints it, so that a skipped test is seen.
///
/// # Panics
/// If `REQUIRE_BACKENDS`, a list with commas, names the engine.
#[allow(clippy::print_stdout, clippy::panic, reason = "what a skipped or a failed test does")]
pub fn missing(engine: &str, why: &str) {
    let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
    let required = required.split(',').any(|name| name.trim() == engine);
    assert!(!required, "REQUIRE_BACKENDS names {engine}, but {why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("SKIPPED ({why}): {test}");
}
