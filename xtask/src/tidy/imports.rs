//! What one source file says of other modules: which it declares, which names it takes, which paths it walks.
//!
//! Syntax alone; [`modules`](super::modules) knows what the paths lead to.

use super::tokens::Token;

/// Segments of a path, as written: `["crate", "plan", "Round"]`.
pub(super) type Words = Vec<String>;

/// A path in the code. What stands in an inline module says so, since `super` means another place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) line_index: usize,
    /// The inline modules around it.
    pub(super) inside: Words,
    pub(super) path: Words,
    /// The name that a `use` gives it here; `None` for a path in passing and for a glob.
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `mod name;`, with the inline modules around it.
    pub(super) declared: Vec<Words>,
    /// `mod name { … }`, in the same way.
    pub(super) inline: Vec<Words>,
    pub(super) mentions: Vec<Mention>,
}

/// Reads tokens that are free of tests.
pub(super) fn read(tokens: &[Token<'_>]) -> Said {
    let mut reader = Reader { tokens, at: 0, said: Said::default(), inside: Vec::new(), depth: 0 };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.said
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    said: Said,
    /// Inline modules around the place, each with the depth of its brace.
    inside: Vec<(String, usize)>,
    depth: usize,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn step(&mut self) {
        let after = self.at + 1;
        match self.text(self.at) {
            "{" => self.depth += 1,
            "}" => self.close(),
            "mod" if self.tokens.get(after).is_some_and(Token::is_word) => return self.module(),
            // `impl Trait + use<'a>` is no import.
            "use" if self.text(after) != "<" => {
                self.at = after;
                let inside = self.place();
                self.use_tree(&inside, &Vec::new());
                return;
            }
            "crate" | "super" | "self" if self.begins_a_path() => return self.path_in_passing(),
            _ => {}
        }
        self.at = after;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inside.last().is_some_and(|(_, depth)| *depth == self.depth) {
            self.inside.pop();
        }
    }

    fn place(&self) -> Words {
        self.inside.iter().map(|(name, _)| name.clone()).collect()
    }

    fn module(&mut self) {
        let name = self.text(self.at + 1).to_owned();
        let mut path = self.place();
        path.push(name.clone());
        match self.text(self.at + 2) {
            ";" => self.said.declared.push(path),
            "{" => {
                self.said.inline.push(path);
                self.inside.push((name, self.depth));
            }
            _ => {}
        }
        // The brace is counted by the next step.
        self.at += 2;
    }

    fn begins_a_path(&self) -> bool {
        self.text(self.at + 1) == "::" && (self.at == 0 || self.text(self.at - 1) != "::")
    }

    fn path_in_passing(&mut self) {
        let line_index = self.tokens[self.at].line_index;
        let inside = self.place();
        let path = self.plain_path();
        self.said.mentions.push(Mention { line_index, inside, path, name: None });
    }

    /// Words joined by `::`; stops before `::<`, `::{` and `::*`.
    fn plain_path(&mut self) -> Words {
        let mut path = vec![self.text(self.at).to_owned()];
        self.at += 1;
        while self.text(self.at) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_word) {
            path.push(self.text(self.at + 1).to_owned());
            self.at += 2;
        }
        path
    }

    /// One branch of a `use`, with what stands before it; ends on the sign after it.
    fn use_tree(&mut self, inside: &Words, before: &Words) {
        let line_index = self.tokens.get(self.at).map_or(0, |token| token.line_index);
        let mut path = before.clone();
        if self.text(self.at) == "::" {
            self.at += 1;
        }
        if self.tokens.get(self.at).is_some_and(Token::is_word) {
            path.extend(self.plain_path());
        }
        if self.text(self.at) == "::" {
            self.at += 1;
        }
        match self.text(self.at) {
            "{" => return self.use_group(inside, &path),
            "*" => {
                self.at += 1;
                let mention = Mention { line_index, inside: inside.clone(), path, name: None };
                self.said.mentions.push(mention);
                return;
            }
            _ => {}
        }
        // `use a::{self}` takes `a` itself.
        if path.len() > 1 && path.last().is_some_and(|word| word == "self") {
            path.pop();
        }
        let mut name = path.last().cloned();
        if self.text(self.at) == "as" {
            name = Some(self.text(self.at + 1).to_owned());
            self.at += 2;
        }
        if !path.is_empty() {
            self.said.mentions.push(Mention { line_index, inside: inside.clone(), path, name });
        }
    }

    fn use_group(&mut self, inside: &Words, before: &Words) {
        self.at += 1;
        while self.at < self.tokens.len() && self.text(self.at) != "}" {
            let start = self.at;
            self.use_tree(inside, before);
            if self.text(self.at) == "," || self.at == start {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    /// Each mention as `inside|path as name`.
    fn mentions(source: &str) -> Vec<String> {
        let shown = |mention: Mention| {
            let name = mention.name.map_or(String::new(), |name| format!(" as {name}"));
            format!("{}|{}{name}", mention.inside.join("::"), mention.path.join("::"))
        };
        read(&tokens(source)).mentions.into_iter().map(shown).collect()
    }

    #[test]
    fn a_tree_of_imports_is_one_path_for_each_leaf() {
        assert_eq!(
            mentions("pub use crate::a::{self, b::{C, D as E}, f::*};"),
            ["|crate::a as a", "|crate::a::b::C as C", "|crate::a::b::D as E", "|crate::a::f"]
        );
        assert_eq!(mentions("use ::std::fmt; use super::x;"), ["|std::fmt as fmt", "|super::x as x"]);
    }

    #[test]
    fn a_path_in_passing_counts_wherever_it_stands() {
        assert_eq!(
            mentions("fn f() -> super::A { crate::b::c::<D>(self.e) }"),
            ["|super::A", "|crate::b::c"]
        );
        assert!(mentions("pub(crate) fn f(self: &Self) -> impl A + use<'a> { std::self::x }").is_empty());
    }

    #[test]
    fn inline_modules_are_told_and_left_again() {
        let said = read(&tokens("mod a { mod b; use super::x; } mod c; use d::e;"));
        assert_eq!(said.declared, [vec!["a", "b"], vec!["c"]]);
        assert_eq!(said.inline, [vec!["a"]]);
        assert_eq!(said.mentions[0].inside, ["a"]);
        assert!(said.mentions[1].inside.is_empty());
    }

    #[test]
    fn code_that_ends_too_soon_is_no_crash() {
        for source in ["use", "use a::", "use a::{", "use a::{b", "use {,", "mod", "mod a {", "crate::", "}"]
        {
            read(&tokens(source));
        }
    }
}
