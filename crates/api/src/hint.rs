//! "Did you mean …?": the known word nearest to a misspelt one.

/// Words longer than this are not compared: nobody meant them.
const WORD_BYTES_MAX: usize = 64;

/// The known word nearest to `given`, if one is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let plain = |word: &str| word.to_ascii_lowercase().replace(['-', ' '], "_");
    let given = plain(given);
    let (distance, word) =
        known.iter().map(|&word| (distance(given.as_bytes(), plain(word).as_bytes()), word)).min()?;
    (distance <= 1 + given.len() / 4).then_some(word)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour (restricted
/// Damerau-Levenshtein distance).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0; (a.len() + 1) * width];
    for (column, cell) in rows[..width].iter_mut().enumerate() {
        *cell = column;
    }
    for i in 1..=a.len() {
        rows[i * width] = i;
        for j in 1..=b.len() {
            let change = rows[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[(i - 1) * width + j] + 1).min(rows[i * width + j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[(i - 2) * width + j - 2] + 1);
            }
            rows[i * width + j] = best;
        }
    }
    rows[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_word_and_other_words_find_none() {
        let known = ["command", "gpu", "gpu_memory", "time_limit", "priority"];
        assert_eq!(nearest("comand", &known), Some("command"));
        assert_eq!(nearest("gpus", &known), Some("gpu"));
        assert_eq!(nearest("gpu-memory", &known), Some("gpu_memory"));
        assert_eq!(nearest("Time-Limit", &known), Some("time_limit"));
        assert_eq!(nearest("pirority", &known), Some("priority"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), &known), None);
    }
}
