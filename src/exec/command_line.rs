use std::ffi::{OsStr, OsString};
use std::fmt;

use litefs_config_file::{UnbalancedLine, Words, split_words};

/// A program and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandLine {
    /// Splits a text of the configuration into words, and tells what of it would not be executed.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<&str>), InvalidCommandLine> {
        let Words { words, ignored } = split_words(text)?;
        let command = Self::from_words(words.into_iter().map(OsString::from))?;
        Ok((command, ignored))
    }

    /// Takes the arguments behind `--`.
    ///
    /// They are kept as they are, except that a single one is split like a text of the configuration, so that
    /// `-- "node server.js"` goes on working.
    pub(crate) fn from_arguments(arguments: &[OsString]) -> Result<(Self, Option<&str>), InvalidCommandLine> {
        match arguments {
            [single] => match single.to_str() {
                Some(text) => Self::parse(text),
                None => Ok((Self { program: single.clone(), arguments: Vec::new() }, None)),
            },
            many => Ok((Self::from_words(many.iter().cloned())?, None)),
        }
    }

    fn from_words(mut words: impl Iterator<Item = OsString>) -> Result<Self, InvalidCommandLine> {
        let program = words.next().filter(|word| !word.is_empty()).ok_or(InvalidCommandLine::Empty)?;
        Ok(Self { program, arguments: words.collect() })
    }

    /// The program, looked up in `PATH` unless it holds a slash.
    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    /// Everything behind the program.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.display()))
    }
}

/// A text that is no command line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum InvalidCommandLine {
    #[error("the command is empty: name a program, or remove the entry")]
    Empty,
    #[error(transparent)]
    Unbalanced(#[from] UnbalancedLine),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &CommandLine) -> Vec<&str> {
        [command.program()]
            .into_iter()
            .chain(command.arguments().iter().map(OsString::as_os_str))
            .map(|word| word.to_str().unwrap())
            .collect()
    }

    fn from_arguments(arguments: &[&str]) -> CommandLine {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        CommandLine::from_arguments(&arguments).unwrap().0
    }

    #[test]
    fn b29_several_arguments_are_kept_as_they_are() {
        assert_eq!(words(&from_arguments(&["sh", "-c", "exit 5"])), ["sh", "-c", "exit 5"]);
        assert_eq!(words(&from_arguments(&["sh", "-c", "a && 'b"])), ["sh", "-c", "a && 'b"]);
    }

    #[test]
    fn single_argument_is_split() {
        assert_eq!(words(&from_arguments(&["sh -c 'exit 5'"])), ["sh", "-c", "exit 5"]);
    }

    #[test]
    fn b19_empty_command_is_refused() {
        for text in ["", "  ", "''", "'' a", "&& a"] {
            assert_eq!(CommandLine::parse(text), Err(InvalidCommandLine::Empty), "{text}");
        }
        assert_eq!(CommandLine::from_arguments(&[]), Err(InvalidCommandLine::Empty));
    }
}
