//! Everything that is wrong with what was typed, told at once.

use std::fmt;

/// One sentence or more for each mistake; an operator can put all of them right in one go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Adds one mistake, in words.
    pub(super) fn add(&mut self, words: String) {
        // A value given in two places is one mistake to the reader when the words are the same.
        if !self.0.contains(&words) {
            self.0.push(words);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each mistake in words, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "turnstone: one mistake in the settings:")?,
            count => writeln!(f, "turnstone: {count} mistakes in the settings:")?,
        }
        for mistake in &self.0 {
            writeln!(f, "  {mistake}")?;
        }
        write!(f, "Nothing was started. All settings: turnstone --help")
    }
}

impl std::error::Error for Mistakes {}

/// The candidate that was probably meant by `typed`, if one is near enough.
pub(super) fn did_you_mean<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may be wrong, three at most: further away is another word.
    let allowed = (typed.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, drop, change or swap with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_previous: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    let mut last: Option<char> = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = Vec::with_capacity(to.len() + 1);
        let mut left = row + 1;
        current.push(left);
        for (column, &other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&previous, column) + usize::from(letter != other);
            left = changed
                .min(left + 1)
                .min(at(&previous, column + 1).saturating_add(1));
            let swapped = column > 0 && to.get(column - 1) == Some(&letter) && last == Some(other);
            if swapped {
                left = left.min(at(&before_previous, column - 1).saturating_add(1));
            }
            current.push(left);
        }
        before_previous = std::mem::replace(&mut previous, current);
        last = Some(letter);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters_and_swaps() {
        for (from, to, expected) in [
            ("", "", 0),
            ("domain", "domain", 0),
            ("domian", "domain", 1),
            ("domains", "domain", 1),
            ("capcity", "capacity", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} → {to}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["domain", "data-dir", "https-listen", "http-listen"];
        assert_eq!(did_you_mean("domian", words), Some("domain"));
        assert_eq!(did_you_mean("htps-listen", words), Some("https-listen"));
        assert_eq!(did_you_mean("verbose", words), None);
    }
}
