//! Which canary this process has.

use crate::{Canary, UnknownCanary};

/// The environment variable that names the one canary of a process, where the feature `armed` is on.
pub const VARIABLE: &str = "BIDLOCK_CANARY";

/// Whether this process goes without the mechanism. Always `false` without the feature `armed`.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub const fn removed(_canary: Canary) -> bool {
    false
}

/// Whether this process goes without the mechanism: it is the one that [`VARIABLE`] names.
#[cfg(feature = "armed")]
pub fn removed(canary: Canary) -> bool {
    let removed = matches!(armed::CHOSEN.as_ref(), Ok(Some(chosen)) if *chosen == canary);
    if removed {
        armed::LOUD.call_once(|| {
            tracing::error!(%canary, "CANARY: this process goes without {}; it must not bid for real", canary.removes());
        });
    }
    removed
}

/// The canary of this process; `None` for none, and always without the feature `armed`.
///
/// # Errors
/// The variable names none that there is: then nothing is removed, and a program had better refuse to go on.
pub fn chosen() -> Result<Option<Canary>, UnknownCanary> {
    #[cfg(feature = "armed")]
    return armed::CHOSEN.clone();
    #[cfg(not(feature = "armed"))]
    Ok(None)
}

#[cfg(feature = "armed")]
mod armed {
    use std::sync::{LazyLock, Once};

    use crate::{Canary, UnknownCanary, VARIABLE};

    /// Read once: a process does not change its canary.
    pub(super) static CHOSEN: LazyLock<Result<Option<Canary>, UnknownCanary>> = LazyLock::new(|| {
        std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()
    });
    /// Said where the mechanism is first left out, when there is a log to say it to.
    pub(super) static LOUD: Once = Once::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_unless_it_is_asked_for() {
        assert_eq!(chosen(), Ok(None));
        assert!(Canary::ALL.into_iter().all(|canary| !removed(canary)));
    }
}
