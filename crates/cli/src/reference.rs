//! The reference of all verbs in Markdown, from the same words that `--help` prints.
//!
//! `docs/cli.md` is its output; a test fails when the two differ.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;

/// The whole reference.
pub(crate) fn markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "# The command line\n\n\
         <!-- Made by `fastgpu __cli-reference`; a test keeps it up to date (`UPDATE=1` rewrites it). -->\n\n\
         Data goes to stdout, talk to stderr. A setting is taken from the flag, then the environment, then\n\
         `~/.config/fastgpu/config.toml`, then the default.\n\n",
    );
    write_options(
        &mut text,
        "## Flags of every verb",
        root.get_arguments().filter(|arg| arg.is_global_set()),
    );
    text.push_str(EXIT_CODES);
    for verb in root.get_subcommands().filter(|verb| is_shown(verb)) {
        write_verb(&mut text, verb, 2);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

const EXIT_CODES: &str = "\
## Exit codes

| code | means |
|---|---|
| 0 | done; the task succeeded |
| 1 | failed |
| 2 | what was typed, or a setting, makes no sense |
| 69 | no server answers |
| 75 | waiting took too long: the queue timeout of a task, or `wait --timeout` |
| 77 | the token does not allow it |
| 124 | the task ran into its time limit |
| 128 + n | signal n ended the task |
| 130 | Ctrl-C; the task goes on |
| other | the task's own code, from `run`, `wait` and `logs -f` |

";

fn is_shown(verb: &Command) -> bool {
    !verb.is_hide_set() && verb.get_name() != "help"
}

fn write_verb(text: &mut String, verb: &Command, depth: usize) {
    let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    let _ = writeln!(text, "{} `{name}`\n", "#".repeat(depth));
    if let Some(about) = verb.get_about() {
        let _ = writeln!(text, "{about}.\n");
    }
    let aliases: Vec<_> = verb.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "Also: {}.\n", aliases.join(", "));
    }
    let usage = verb.clone().render_usage().to_string();
    let _ = writeln!(text, "```text\n{}\n```\n", usage.trim_start_matches("Usage: "));
    let own = || verb.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    let own = || own().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"));
    if own().next().is_some() {
        write_options(text, "", own());
    }
    for below in verb.get_subcommands().filter(|below| is_shown(below)) {
        write_verb(text, below, depth + 1);
    }
}

fn write_options<'a>(text: &mut String, heading: &str, options: impl Iterator<Item = &'a Arg>) {
    if !heading.is_empty() {
        let _ = writeln!(text, "{heading}\n");
    }
    text.push_str("| | |\n|---|---|\n");
    for option in options {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        let _ = writeln!(text, "| {} | {help} |", spelled(option));
    }
    text.push('\n');
}

/// `-o`, `--output <FORMAT>`
fn spelled(option: &Arg) -> String {
    let value = option.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let takes_value = option.get_action().takes_values();
    if option.is_positional() {
        return format!("`<{}>`", value.unwrap_or_else(|| option.get_id().to_string().to_uppercase()));
    }
    let shorts = option.get_short_and_visible_aliases().unwrap_or_default();
    let longs = option.get_long_and_visible_aliases().unwrap_or_default();
    let mut words: Vec<String> = shorts.iter().map(|short| format!("-{short}")).collect();
    words.extend(longs.iter().map(|long| format!("--{long}")));
    if let (Some(last), Some(value), true) = (words.last_mut(), value, takes_value) {
        let _ = write!(last, " <{value}>");
    }
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
