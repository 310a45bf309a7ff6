//! [`Told`]: what people have read already, so that `--every` does not say it again in each pass.

use std::collections::HashMap;

/// So many lines are remembered; then all are forgotten, and said once more.
const MOST: usize = 50_000;

/// What was said last of each thing, and in which pass.
#[derive(Debug, Default)]
pub(super) struct Told {
    pass: u64,
    lines: HashMap<String, (u64, String)>,
}

impl Told {
    pub(super) fn next_pass(&mut self) {
        self.pass += 1;
    }

    pub(super) fn is_after_the_first(&self) -> bool {
        self.pass > 1
    }

    /// Whether no pass before this one has ended with this said of the thing. Within a pass everything is said.
    pub(super) fn is_new(&mut self, thing: &str, said: &str) -> bool {
        if self.lines.get(thing).is_some_and(|(pass, last)| *pass < self.pass && last == said) {
            return false;
        }
        if self.lines.len() >= MOST {
            self.lines.clear();
        }
        self.lines.insert(thing.to_owned(), (self.pass, said.to_owned()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_pass_has_said_is_said_again_only_when_it_changes() {
        let mut told = Told::default();
        let mut pass = |lines: &[(&str, &str)]| -> Vec<bool> {
            told.next_pass();
            lines.iter().map(|(thing, said)| told.is_new(thing, said)).collect()
        };
        assert_eq!(pass(&[("a", "1"), ("a", "1"), ("b", "1")]), [true, true, true]);
        assert_eq!(pass(&[("a", "1"), ("b", "2"), ("c", "1")]), [false, true, true]);
        assert_eq!(pass(&[("a", "1"), ("b", "2")]), [false, false]);
        assert_eq!(pass(&[("b", "1")]), [true]);
    }
}
