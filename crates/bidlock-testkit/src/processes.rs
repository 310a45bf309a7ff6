//! Which processes a server consists of.

use std::fs;

use rustix::process::Pid;

/// The processes that this one has started and that live.
pub(crate) fn children_of(parent: u32) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        // The name, in brackets, may hold anything; the parent is the second field behind it.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            behind.split_whitespace().nth(1) == Some(parent.to_string().as_str())
        })
    };
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}
