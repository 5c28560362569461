//! Words that the core keeps as `&'static str`, found again from their text.
//!
//! Only our own code writes such words, so there are few of them; a limit keeps a damaged file from filling
//! the memory with what it says are words.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use fastgpu_core::task::TaskState;

/// Far more than there are causes and actions in the code, far less than what would hurt.
const WORDS_MAX: usize = 1_024;
/// No word of ours is longer.
const WORD_BYTES_MAX: usize = 64;

static KNOWN: LazyLock<Mutex<BTreeSet<&'static str>>> =
    LazyLock::new(|| Mutex::new(TaskState::CODES.into_iter().collect()));

/// The one copy of `word` that lives for ever; `None` when it cannot be one of ours.
pub(crate) fn word(word: &str) -> Option<&'static str> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(word) {
        return Some(found);
    }
    if known.len() >= WORDS_MAX || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let kept: &'static str = Box::leak(word.to_owned().into_boxed_str());
    known.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_nonsense_not_at_all() {
        let first = word("placed_in_a_test").unwrap();
        let again = word(&String::from("placed_in_a_test")).unwrap();
        assert!(std::ptr::eq(first, again));
        assert_eq!(word("queued"), Some("queued"));
        assert_eq!(word(&"x".repeat(65)), None);
    }
}
