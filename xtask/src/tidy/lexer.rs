//! Just enough of Rust's lexer to tell code from comments and literals.

/// The source with comments and the insides of literals blanked out; lines stay where they were.
pub(super) fn code_only(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let end = match text[at] {
            '/' if text.get(at + 1) == Some(&'/') => end_of_line(&text, at),
            '/' if text.get(at + 1) == Some(&'*') => end_of_block_comment(&text, at),
            '"' => end_of_string(&text, at),
            'r' if !follows_a_word(&text, at) => end_of_raw_string(&text, at),
            '\'' => end_of_char(&text, at),
            _ => at,
        };
        if end == at {
            code.push(text[at]);
            at += 1;
        } else {
            code.extend(text[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn follows_a_word(text: &[char], at: usize) -> bool {
    // `br"…"` is a raw literal too; any other letter before makes the `r` part of a word.
    at > 0 && text[at - 1] != 'b' && (text[at - 1].is_alphanumeric() || text[at - 1] == '_')
}

fn end_of_line(text: &[char], at: usize) -> usize {
    text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |length| at + length)
}

fn end_of_block_comment(text: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn end_of_string(text: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// `start` itself when no raw string begins here.
fn end_of_raw_string(text: &[char], start: usize) -> usize {
    let hashes = text[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if text.get(open) != Some(&'"') {
        return start;
    }
    let closes = |at: usize| {
        text[at] == '"' && text.len() > at + hashes && text[at + 1..=at + hashes].iter().all(|c| *c == '#')
    };
    (open + 1..text.len()).find(|at| closes(*at)).map_or(text.len(), |at| at + 1 + hashes)
}

/// `start` itself when the quote begins a lifetime.
fn end_of_char(text: &[char], start: usize) -> usize {
    match (text.get(start + 1), text.get(start + 2)) {
        (Some('\\'), Some(_)) => {
            text[start + 3..].iter().position(|c| *c == '\'').map_or(text.len(), |length| start + 4 + length)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::code_only;

    fn words(source: &str) -> String {
        code_only(source).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert_eq!(words("a(); // unsafe\nb(); /* unsafe /* nested */ unsafe */ c();"), "a(); b(); c();");
        assert_eq!(words(r#"f("unsafe \" unsafe", 'x', '\'', b"unsafe");"#), "f( , , , b );");
        assert_eq!(words(r###"f(r#"unsafe " unsafe"#, br"unsafe");"###), "f( , b );");
    }

    #[test]
    fn lifetimes_and_words_with_an_r_stay_code() {
        assert_eq!(words("fn f<'a>(r: &'a str, var: u8) {}"), "fn f<'a>(r: &'a str, var: u8) {}");
    }

    #[test]
    fn lines_stay_where_they_were() {
        assert_eq!(code_only("/* a\nb */ x\n\"c\nd\" y").lines().count(), 4);
    }

    #[test]
    fn a_file_that_ends_inside_a_literal_is_no_crash() {
        for source in ["\"", "r#\"", "'", "'\\", "/*", "/", "\"\\", "r#\"x\""] {
            code_only(source);
        }
    }
}
