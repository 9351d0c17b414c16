//! Flags as programs written in Go take them: `-name value`, `-name=value` and `-switch=false`, with one dash or two.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, ArgAction, Command};

/// A switch that was given something else than a boolean.
#[derive(Debug, thiserror::Error)]
#[error("invalid boolean value {value:?} for --{flag}: expected true or false")]
pub(super) struct InvalidBoolean {
    flag: String,
    value: String,
}

/// Rewrites the flags of the sub-command that the arguments name into the form `--name=value`.
///
/// Only names that the sub-command knows are touched, and nothing behind `--`: that belongs to another program.
pub(super) fn normalize(
    command: &Command,
    arguments: Vec<OsString>,
) -> Result<Vec<OsString>, InvalidBoolean> {
    let subcommand = arguments.get(1).and_then(|name| command.find_subcommand(name));
    let Some(subcommand) = subcommand else { return Ok(arguments) };
    let mut arguments = arguments.into_iter();
    let mut normalized: Vec<OsString> = arguments.by_ref().take(2).collect();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            normalized.push(argument);
            break;
        }
        let Some((flag, value)) = find_flag(subcommand, &argument) else {
            normalized.push(argument);
            continue;
        };
        let name = flag.get_long().unwrap_or_default();
        let mut written = OsString::from(format!("--{name}"));
        if matches!(flag.get_action(), ArgAction::SetTrue | ArgAction::Help | ArgAction::HelpLong) {
            match value.as_deref().map(parse_boolean) {
                None | Some(Some(true)) => normalized.push(written),
                // The last word counts.
                Some(Some(false)) => normalized.retain(|earlier| *earlier != written),
                Some(None) => {
                    let value = value.unwrap_or_default().to_string_lossy().into_owned();
                    return Err(InvalidBoolean { flag: name.to_owned(), value });
                }
            }
        } else if let Some(value) = value.or_else(|| arguments.next()) {
            written.push("=");
            written.push(value);
            normalized.push(written);
        } else {
            // Without its value it is left to the parser, which says so.
            normalized.push(written);
        }
    }
    normalized.extend(arguments);
    Ok(normalized)
}

/// The long flag that an argument names, and the value written behind `=`.
fn find_flag<'a>(subcommand: &'a Command, argument: &OsStr) -> Option<(&'a Arg, Option<OsString>)> {
    let bytes = argument.as_bytes();
    let text = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let name = std::str::from_utf8(&text[..end]).ok()?;
    let flag = subcommand.get_arguments().find(|flag| flag.get_long() == Some(name))?;
    let value = text.get(end + 1..).map(|value| OsStr::from_bytes(value).to_owned());
    Some((flag, value))
}

/// The spellings that Go's `strconv.ParseBool` takes.
fn parse_boolean(text: &OsStr) -> Option<bool> {
    match text.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("litefs").subcommand(
            Command::new("mount")
                .arg(Arg::new("config").long("config"))
                .arg(Arg::new("fuse.debug").long("fuse.debug").action(ArgAction::SetTrue))
                .arg(Arg::new("debug").long("debug").action(ArgAction::SetTrue))
                .arg(Arg::new("v").short('v').action(ArgAction::SetTrue)),
        )
    }

    #[track_caller]
    fn check(arguments: &str, expected: &str) {
        let arguments = arguments.split(' ').map(OsString::from).collect();
        let expected: Vec<_> = expected.split(' ').map(OsString::from).collect();
        assert_eq!(normalize(&command(), arguments).unwrap(), expected);
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        check("litefs mount -config a", "litefs mount --config=a");
        check("litefs mount -config=a", "litefs mount --config=a");
        check("litefs mount --config a", "litefs mount --config=a");
        check("litefs mount -fuse.debug -v", "litefs mount --fuse.debug -v");
        check("litefs mount -config -a", "litefs mount --config=-a");
        check("litefs mount -config", "litefs mount --config");
    }

    #[test]
    fn switch_takes_a_boolean_and_the_last_one_counts() {
        check("litefs mount -debug=true", "litefs mount --debug");
        check("litefs mount -debug=0", "litefs mount");
        check("litefs mount -debug -debug=false dir", "litefs mount dir");
        let arguments = ["litefs", "mount", "-debug=maybe"].map(OsString::from).to_vec();
        assert_eq!(
            normalize(&command(), arguments).unwrap_err().to_string(),
            "invalid boolean value \"maybe\" for --debug: expected true or false"
        );
    }

    #[test]
    fn what_belongs_to_another_program_is_not_touched() {
        check("litefs mount -debug -- -debug -config a", "litefs mount --debug -- -debug -config a");
    }

    #[test]
    fn unknown_flags_and_commands_are_left_to_the_parser() {
        check("litefs mount -configs a -", "litefs mount -configs a -");
        check("litefs other -config a", "litefs other -config a");
        check("litefs", "litefs");
    }
}
