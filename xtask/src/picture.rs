//! Draws what a command shows in a terminal as an SVG, for the README: a picture that is made, not painted.
//!
//! Understands what our own output uses: colours, bold, dim, "cursor up" and "erase below".

use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, bail};

use crate::root;

const WIDTH: usize = 112;
const LINE: usize = 18;
const CHARACTER: f64 = 8.4;

/// A character with its style, as CSS classes.
type Cell = (char, &'static str);

/// `cargo xtask picture`: runs the demo in a terminal of its own and writes `docs/images/demo.svg`.
pub(crate) fn run(_words: &[String]) -> anyhow::Result<bool> {
    let root = root::project_root()?;
    let program = root::target_dir()?.join("release/fastgpu");
    if !program.exists() {
        bail!("build it first: `cargo build --release`");
    }
    let line = format!("stty cols {WIDTH} rows 60; {} demo", program.display());
    let shown = Command::new("script").args(["-qec", &line, "/dev/null"]).output();
    let shown = shown.context("`script` of util-linux makes the terminal")?.stdout;
    let screen = screen(&String::from_utf8_lossy(&shown));
    let target = root.join("docs/images/demo.svg");
    std::fs::create_dir_all(target.parent().context("the picture has a folder")?)?;
    std::fs::write(&target, svg(&screen))?;
    println!("{}", target.display());
    Ok(true)
}

/// What is left on the screen in the end.
fn screen(shown: &str) -> Vec<Vec<Cell>> {
    let mut lines: Vec<Vec<Cell>> = vec![Vec::new()];
    let (mut row, mut style) = (0, "");
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\u{1b}' => {
                let sequence = sequence(&mut characters);
                match sequence.split_at(sequence.len().saturating_sub(1)) {
                    (up, "A") => row = row.saturating_sub(up.parse().unwrap_or(1)),
                    (_, "J") => {
                        lines.truncate(row);
                        lines.resize(row + 1, Vec::new());
                    }
                    (codes, "m") => style = class(codes),
                    _ => {}
                }
            }
            character => lines[row].push((character, style)),
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// The rest of an escape sequence, up to and with the letter that ends it.
fn sequence(characters: &mut std::str::Chars<'_>) -> String {
    let mut sequence = String::new();
    for character in characters.skip(1) {
        sequence.push(character);
        if character.is_ascii_alphabetic() {
            break;
        }
    }
    sequence
}

fn class(codes: &str) -> &'static str {
    match codes {
        "1" => "b",
        "2" => "d",
        "31" => "r",
        "32" => "g",
        "33" => "y",
        "34" => "l",
        "35" => "m",
        "36" => "c",
        _ => "",
    }
}

fn svg(lines: &[Vec<Cell>]) -> String {
    let height = (lines.len() + 2) * LINE;
    let width = WIDTH as f64 * CHARACTER + 32.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" \
         font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\">\n\
         <style>text{{fill:#d7dae0;white-space:pre}}.b{{font-weight:bold;fill:#fff}}.d{{fill:#7f8796}}\
         .r{{fill:#ef6b73}}.g{{fill:#7bc275}}.y{{fill:#e2b55c}}.l{{fill:#6aa5ee}}.m{{fill:#c583e0}}\
         .c{{fill:#58b9c4}}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1d2026\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        if line.is_empty() {
            continue;
        }
        let y = (number + 1) * LINE + 8;
        let _ = write!(svg, "<text x=\"16\" y=\"{y}\" xml:space=\"preserve\">");
        for run in line.chunk_by(|left, right| left.1 == right.1) {
            let text: String = run.iter().map(|(character, _)| escaped(*character)).collect();
            match run[0].1 {
                "" => svg.push_str(&text),
                class => {
                    let _ = write!(svg, "<tspan class=\"{class}\">{text}</tspan>");
                }
            }
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(character: char) -> String {
    match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_over_is_gone_and_colours_stay() {
        let lines = screen("one\r\ntwo\r\n\u{1b}[1A\u{1b}[Jtwo \u{1b}[32mgreen\u{1b}[0m<\r\n");
        let texts: Vec<String> = lines.iter().map(|line| line.iter().map(|cell| cell.0).collect()).collect();
        assert_eq!(texts, ["one", "two green<"]);
        assert!(svg(&lines).contains("two <tspan class=\"g\">green</tspan>&lt;"));
    }
}
