//! Words and signs of a source file, each with its line, and the parts of it that only tests compile.

use std::ops::Range;

/// A word, a number, `::`, or any other sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) line_index: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Cuts code whose comments and literals are already blank.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (line_index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let length = length_of_first(rest);
            found.push(Token { line_index, text: &rest[..length] });
            rest = rest[length..].trim_start();
        }
    }
    found
}

fn length_of_first(text: &str) -> usize {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    match word {
        0 if text.starts_with("::") => 2,
        0 => text.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

/// An item behind `#[cfg(test)]`, from its attribute to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestItem {
    pub(super) tokens: Range<usize>,
    pub(super) lines: Range<usize>,
    /// True for `mod name { … }`, and false for one that points to a file.
    pub(super) is_module: bool,
}

const TEST_ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

pub(super) fn test_items(tokens: &[Token<'_>]) -> Vec<TestItem> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_with(&tokens[at..], &TEST_ATTRIBUTE) {
            let item = test_item(tokens, at);
            at = item.tokens.end;
            items.push(item);
        } else {
            at += 1;
        }
    }
    items
}

/// What is compiled for users.
pub(super) fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let items = test_items(tokens);
    let in_test = |at: usize| items.iter().any(|item| item.tokens.contains(&at));
    tokens.iter().enumerate().filter(|(at, _)| !in_test(*at)).map(|(_, token)| *token).collect()
}

fn starts_with(tokens: &[Token<'_>], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

fn test_item(tokens: &[Token<'_>], start: usize) -> TestItem {
    let mut at = start + TEST_ATTRIBUTE.len();
    while starts_with(&tokens[at..], &["#", "["]) {
        at = end_of_group(tokens, at + 1);
    }
    let head = &tokens[at..];
    let is_module = head.iter().take_while(|token| !is_one_of(token, "{;")).any(|token| token.text == "mod")
        && head.iter().find(|token| is_one_of(token, "{;")).is_some_and(|token| token.text == "{");
    let end = end_of_item(tokens, at);
    let last_line = tokens[end.saturating_sub(1).max(start)].line_index;
    TestItem { tokens: start..end, lines: tokens[start].line_index..last_line + 1, is_module }
}

/// After the `;` or the `}` that ends an item, the `,` that ends a field, or the last token.
fn end_of_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text {
            ";" | "," => return at + 1,
            "{" => return end_of_group(tokens, at),
            "(" | "[" => at = end_of_group(tokens, at),
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// After the bracket that closes the one at `open`.
fn end_of_group(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if is_one_of(token, "([{") {
            depth += 1;
        } else if is_one_of(token, ")]}") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

fn is_one_of(token: &Token<'_>, signs: &str) -> bool {
    token.text.len() == 1 && signs.contains(token.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    fn shipped(source: &str) -> String {
        let shipped = without_tests(&tokens(source)).into_iter().map(|token| token.text).collect::<Vec<_>>();
        shipped.join(" ")
    }

    #[test]
    fn a_path_is_words_and_double_colons() {
        assert_eq!(texts("use crate::a_1::{b};"), ["use", "crate", "::", "a_1", "::", "{", "b", "}", ";"]);
        assert_eq!(tokens("a\n\n  b")[1].line_index, 2);
    }

    #[test]
    fn what_only_tests_compile_is_left_out_wherever_it_stands() {
        assert_eq!(shipped("a(); #[cfg(test)] mod tests { fn f() { {} } } b();"), "a ( ) ; b ( ) ;");
        assert_eq!(shipped("#[cfg(test)] mod tests; mod a;"), "mod a ;");
        assert_eq!(shipped("#[cfg(test)] #[allow(x)] fn f(a: [u8; 2]) -> B { c } fn g() {}"), "fn g ( ) { }");
        assert_eq!(shipped("struct S { #[cfg(test)] a: u8, b: u8 }"), "struct S { b : u8 }");
        assert_eq!(shipped("struct S { #[cfg(test)] a: u8 }"), "struct S { }");
    }

    #[test]
    fn a_module_of_tests_is_told_from_one_that_points_to_a_file() {
        let is_module = |source: &str| test_items(&tokens(source))[0].is_module;
        assert!(is_module("#[cfg(test)]\npub(crate) mod tests {}"));
        assert!(!is_module("#[cfg(test)]\nmod tests;\nmod a {}"));
        assert!(!is_module("#[cfg(test)]\nfn f() {}"));
        assert_eq!(test_items(&tokens("a\n#[cfg(test)]\nmod t {\n}\nb"))[0].lines, 1..4);
    }

    #[test]
    fn a_file_that_ends_too_soon_is_no_crash() {
        for source in ["#[cfg(test)]", "#[cfg(test)] #[", "#[cfg(test)] mod a {", "#[cfg(test)] fn f("] {
            assert_eq!(shipped(source), "");
        }
    }
}
