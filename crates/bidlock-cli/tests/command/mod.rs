//! The real binary in an environment that holds nothing of the user's, nor of another test's: for both harnesses.

use std::{path::Path, process::Command};

/// `bidlock` in this home, working in this folder.
pub(super) fn bidlock(home: &Path, working_folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("USER", "tester")
        .env("TZ", "UTC")
        // Most tests are about something else; `cli/to_send.rs` is about this.
        .env("BIDLOCK_SCAN__BID_ON_EVERYTHING", "true")
        .env("BIDLOCK_SUBMIT__EMPTY_PROPOSAL", "true")
        .current_dir(working_folder);
    command
}
