//! Runs the real binary in a home of its own, so that no test sees the user's files or another test's.

#[path = "../../command/mod.rs"]
mod command;
pub(crate) mod engines;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bidlock_ledger::{
    Actor, Bid, BidState, Change, ClaimOutcome, Claimant, LedgerStore, Move, NewClaim, Payload, PostingId,
    SqliteLedger, UnknownCause, store::Applied,
};
use serde_json::Value;

/// Where bids were sent that a test puts into a ledger: nobody answers there.
pub(crate) const VIA: &str = "http:http://127.0.0.1:9";

/// A home, a working folder, and the binary.
pub(crate) struct Desk {
    home: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("work")).unwrap();
        Desk { home }
    }

    /// The working folder of every call.
    pub(crate) fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// The default ledger.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.home.path().join("data/bidlock/ledger.db")
    }

    /// Writes a file into the working folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A call of `bidlock` with these words, split at blanks.
    pub(crate) fn call(&self, words: &str) -> Call {
        let mut command = command::bidlock(self.home.path(), &self.work());
        command.args(words.split_whitespace());
        Call { command, stdin: String::new() }
    }

    /// Runs a call at once.
    pub(crate) fn run(&self, words: &str) -> Done {
        self.call(words).run()
    }

    /// A bid on `market/posting` in the default ledger, brought into this state as a scanner would.
    pub(crate) fn seed(&self, posting: &str, state: BidState, via: &str) -> Bid {
        seed_at(&self.ledger(), posting, state, via)
    }
}

/// A call that is being put together.
pub(crate) struct Call {
    pub(crate) command: Command,
    stdin: String,
}

impl Call {
    /// One more word, blanks and all.
    pub(crate) fn arg(mut self, word: impl AsRef<std::ffi::OsStr>) -> Call {
        self.command.arg(word);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Call {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Call {
        self.stdin = text.to_owned();
        self
    }

    /// Starts it with piped stdout and stderr.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Done {
        let words = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        // A command that reads nothing closes its end early: no fault.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Done {
            words,
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Done {
    #[expect(dead_code, reason = "printed where a test fails")]
    words: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// It ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Done {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// It was refused: this code, these parts in the message, a way out, and nothing on stdout.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, parts: &[&str]) -> Done {
        let done = self.code(code).says(parts);
        assert!(done.err.contains("error:"), "{done:#?}");
        assert!(
            done.err.contains("hint:") || done.err.contains("For more information"),
            "no way out: {done:#?}"
        );
        done
    }

    /// stderr holds these parts.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Done {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing: {self:#?}");
        }
        self
    }

    /// stdout holds these parts.
    #[track_caller]
    pub(crate) fn prints(self, parts: &[&str]) -> Done {
        for part in parts {
            assert!(self.out.contains(part), "`{part}` is missing: {self:#?}");
        }
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// stderr's last line as JSON.
    #[track_caller]
    pub(crate) fn error_json(&self) -> Value {
        let last = self.err.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// As [`Desk::seed`], in any ledger.
pub(crate) fn seed_at(path: &Path, posting: &str, state: BidState, via: &str) -> Bid {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = SqliteLedger::open(path).unwrap();
        let claimant = Claimant { holder: "host:1:abcd".to_owned(), instance: Some(ledger.instance()) };
        let request = NewClaim {
            posting: PostingId::new("market", posting).unwrap(),
            claimant,
            ttl: Duration::from_secs(300),
            payload: Payload {
                amount: Some(bidlock_ledger::Money {
                    minor: 12_550,
                    currency: bidlock_ledger::Currency::USD,
                }),
                proposal: "Hello".to_owned(),
                posting_url: Some(format!("https://market.example/{posting}")),
                via: via.to_owned(),
                evaluation: None,
            },
        };
        let ClaimOutcome::Granted(claim) = ledger.claim(&[request]).await.unwrap().remove(0) else {
            panic!("{posting} has a bid already")
        };
        let mut bid = claim.bid;
        let ttl = Duration::from_secs(300);
        let door = Move::EnterSubmitting { ttl, cap: None };
        let steps = match state {
            BidState::Claimed => vec![],
            BidState::Submitting => vec![door],
            BidState::AwaitingApproval => vec![Move::AwaitApproval],
            BidState::Submitted => vec![door, Move::Accept { external_ref: "B-1".to_owned() }],
            BidState::Rejected => vec![door, Move::Refuse],
            BidState::Unknown => vec![door, Move::LoseAnswer { cause: UnknownCause::Timeout }],
            other => panic!("no way to {other} here"),
        };
        for step in steps {
            let change = Change::new(bid.claim_ref(), Actor::scanner("host:1:abcd"), step);
            match ledger.apply(&[change]).await.unwrap().remove(0) {
                Applied::Moved { bid: now, .. } => bid = *now,
                other => panic!("{other:?}"),
            }
        }
        bid
    })
}
