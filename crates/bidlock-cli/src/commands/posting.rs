//! `bidlock posting evaluate|canonical`.

use bidlock_config::{Config, read_bounded};
use bidlock_ledger::PostingId;
use bidlock_market::{FieldMap, InvalidRow, Posting, ReadOptions, expand, read};
use bidlock_pipeline::{Decision, Evaluator};
use serde_json::json;

use super::evaluation::Evaluation;
use crate::{
    app::App,
    args::{CanonicalArgs, EvaluateArgs, PostingArgs, PostingCommand},
    exit::Exit,
    failure::CliError,
    output::money,
};

/// A larger map is a mistake.
const MAX_MAP_BYTES: u64 = 1 << 20;

/// Runs it.
pub(crate) async fn run(app: &App, args: PostingArgs) -> Result<Exit, CliError> {
    match args.command {
        PostingCommand::Evaluate(args) => evaluate(app, &args),
        PostingCommand::Canonical(args) => canonical(app, &args),
    }
}

/// Says of each posting what the rules make of it.
fn evaluate(app: &App, args: &EvaluateArgs) -> Result<Exit, CliError> {
    let config = app.config()?;
    let evaluator = Evaluation::of(config)?.evaluator;
    let options = read_options(config)?;
    let inputs = expand(&args.feeds).map_err(|e| CliError::usage(e.to_string()))?;
    let mut tally = Tally::default();
    for input in &inputs {
        let fetch = read(input, &options).map_err(|e| CliError::usage(e.to_string()))?;
        for note in &fetch.notes {
            app.out.say(crate::output::printable(&format!("{}: {note}", fetch.source)));
        }
        for row in fetch.rows {
            match row {
                Ok(posting) => tally.posting(app, &posting, evaluator.as_ref())?,
                Err(invalid) => tally.invalid(app, &invalid)?,
            }
        }
    }
    tally.end(app)
}

/// How the settings read feeds.
///
/// # Errors
/// The format is unknown, or the map can't be used.
pub(super) fn read_options(config: &Config) -> Result<ReadOptions, CliError> {
    let format = config
        .scan
        .format
        .parse()
        .map_err(|e| CliError::usage(format!("{}: {e}", config.named("scan.format"))))?;
    let map = match &config.scan.map {
        None => None,
        Some(path) => {
            let named = config.named("scan.map");
            let text = read_bounded(path, MAX_MAP_BYTES).map_err(|e| {
                CliError::usage(format!("{named}: cannot read {}: {e}", path.display()))
                    .hint("name a TOML file that says which field means what; docs/feeds.md shows one")
            })?;
            let map = FieldMap::parse(&path.display().to_string(), &text)
                .map_err(|e| CliError::usage(e.to_string()).hint("docs/feeds.md lists every key of a map"))?;
            Some(map)
        }
    };
    Ok(ReadOptions { format, map, marketplace: config.scan.marketplace.clone(), now: App::now() })
}

/// What was evaluated so far.
#[derive(Default)]
struct Tally {
    suitable: u64,
    declined: u64,
    ambiguous: u64,
    invalid: u64,
}

impl Tally {
    fn posting(&mut self, app: &App, posting: &Posting, evaluator: &dyn Evaluator) -> Result<(), CliError> {
        let (decision, amount, proposal, reason) = match &posting.ambiguity {
            Some(why) => ("ambiguous", None, None, Some(why.to_string())),
            None => match evaluator.evaluate(posting, App::now()) {
                Decision::Suitable { amount, proposal, explanation } => {
                    ("suitable", amount, Some(proposal), explanation)
                }
                Decision::Declined(reason) => ("declined", None, None, Some(reason.to_string())),
            },
        };
        match decision {
            "suitable" => self.suitable += 1,
            "declined" => self.declined += 1,
            _ => self.ambiguous += 1,
        }
        if app.out.json {
            return app.out.json_line(&json!({
                "event": "evaluation",
                "marketplace": posting.id.marketplace(),
                "posting": posting.id.posting(),
                "title": posting.title,
                "decision": decision,
                "amount": amount,
                "proposal": proposal,
                "reason": reason,
            }));
        }
        let tail = match (decision, reason) {
            ("suitable", _) => money(amount),
            (_, reason) => reason.unwrap_or_default(),
        };
        let line = format!("{decision:9}  {}  {tail}  {}", posting.id, posting.title);
        app.out.line(crate::output::printable(&line.replace('\n', " ")))
    }

    fn invalid(&mut self, app: &App, row: &InvalidRow) -> Result<(), CliError> {
        self.invalid += 1;
        if app.out.json {
            return app.out.json_line(&json!({
                "event": "invalid", "source": row.source, "row": row.row, "reason": row.reason,
            }));
        }
        app.out.warn(format!("{} row {}: {}", row.source, row.row, row.reason));
        Ok(())
    }

    fn end(self, app: &App) -> Result<Exit, CliError> {
        let Tally { suitable, declined, ambiguous, invalid } = self;
        if app.out.json {
            app.out.json_line(&json!({
                "event": "summary", "suitable": suitable, "declined": declined,
                "ambiguous": ambiguous, "invalid": invalid,
            }))?;
        } else {
            app.out.say(format!(
                "{suitable} suitable, {declined} declined, {ambiguous} ambiguous, {invalid} unreadable"
            ));
        }
        Ok(Exit::Ok)
    }
}

/// Prints the canonical identity of a posting.
fn canonical(app: &App, args: &CanonicalArgs) -> Result<Exit, CliError> {
    let id: PostingId = match &args.marketplace {
        Some(marketplace) => bidlock_market::canonical(marketplace, &args.posting).map_err(|e| {
            CliError::usage(format!("`{}` can't be a posting of {marketplace}: {e}", args.posting))
                .hint("give the whole id or the posting's URL")
        })?,
        None => bidlock_market::canonical_url(&args.posting).ok_or_else(|| {
            CliError::usage(format!("`{}` does not tell its marketplace", args.posting))
                .hint("name it: --marketplace upwork; only URLs of known marketplaces tell it")
        })?,
    };
    if app.out.json {
        app.out.json_document(&json!({
            "marketplace": id.marketplace(),
            "posting": id.posting(),
            "version": bidlock_market::identity::version(id.marketplace()),
        }))?;
    } else {
        app.out.line(id.to_string())?;
    }
    Ok(Exit::Ok)
}
