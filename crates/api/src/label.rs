//! Labels of machines, `key=value`: what they may be, for nodes and for tasks that ask for them.

/// Characters of a key, and of a value.
pub const PART_CHARS_MAX: usize = 63;
/// Labels of one node or one ask.
pub const LABELS_MAX: usize = 64;

/// Why a text cannot be a label, if it cannot.
///
/// # Errors
/// A sentence with what is wrong and what is allowed.
pub fn check(label: &str) -> Result<(), String> {
    let allowed = "a label is `key=value`, each 1 to 63 letters a-z A-Z, digits and . _ - /";
    let Some((key, value)) = label.split_once('=') else {
        return Err(format!("there is no `=` in it; {allowed}"));
    };
    for (part, text) in [("key", key), ("value", value)] {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if text.is_empty() {
            return Err(format!("its {part} is empty; {allowed}"));
        }
        if let Some(bad) = text.chars().find(|&c| !c.is_ascii() || !is_plain(c as u8)) {
            return Err(format!("its {part} has the character `{}`; {allowed}", bad.escape_default()));
        }
        if text.len() > PART_CHARS_MAX {
            return Err(format!("its {part} has {} characters; {allowed}", text.len()));
        }
    }
    Ok(())
}

/// The key of a label.
#[must_use]
pub fn key(label: &str) -> &str {
    label.split_once('=').map_or(label, |(key, _)| key)
}

/// Checks labels and sorts them; the same one twice counts once.
///
/// # Errors
/// The first that cannot be, with a sentence why: two values of one key contradict each other.
pub fn sorted(labels: &[String]) -> Result<Vec<String>, (&str, String)> {
    let mut kept: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        check(label).map_err(|why| (label.as_str(), why))?;
        let other = kept.iter().find(|other| key(other) == key(label) && *other != label);
        if let Some(other) = other {
            return Err((label.as_str(), format!("`{other}` says otherwise; a key has one value")));
        }
        if kept.len() == LABELS_MAX {
            return Err((label.as_str(), format!("it is one too many; at most {LABELS_MAX} are taken")));
        }
        kept.push(label.clone());
    }
    kept.sort();
    kept.dedup();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_plain_key_and_a_plain_value() {
        let long = "x".repeat(63);
        for good in ["rack=7", "fastgpu.example/zone=north-1", &format!("{long}={long}")] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "no `=`"),
            ("rack", "no `=`"),
            ("=7", "key is empty"),
            ("rack=", "value is empty"),
            ("rack=7=8", "value has the character `=`"),
            ("ra ck=7", "key has the character ` `"),
            ("räck=7", "key has the character `\\u{e4}`"),
            (&format!("{long}x=7"), "key has 64 characters"),
        ] {
            assert!(check(bad).unwrap_err().contains(why), "{bad}: {:?}", check(bad));
        }
    }

    #[test]
    fn one_key_has_one_value() {
        let labels = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(sorted(&labels(&["b=1", "a=2", "b=1"])).unwrap(), ["a=2", "b=1"]);
        assert_eq!(sorted(&labels(&["a=1", "a=2"])).unwrap_err().0, "a=2");
        let many: Vec<String> = (0..=LABELS_MAX).map(|number| format!("k{number}=1")).collect();
        assert_eq!(sorted(&many).unwrap_err().0, "k64=1");
    }
}
