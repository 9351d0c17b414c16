/// Words of a command line, and what stands behind the operator that ended it.
#[derive(Debug, Eq, PartialEq)]
pub struct Words<'a> {
    /// The words, without the quotes around them.
    pub words: Vec<String>,
    /// The line from an unquoted `;`, `&`, `|`, `<` or `>` on, which no one will execute.
    pub ignored: Option<&'a str>,
}

/// Splits a command line into words as LiteFS does.
///
/// Blanks separate words, single and double quotes keep them together, a backslash outside of single quotes takes the
/// next character as it is. There is no shell: variables and file name patterns stay as they are written, `$(…)` and
/// backquotes only hold words together, and an unquoted `;`, `&`, `|`, `<` or `>` ends the command.
///
/// # Errors
/// A quote, parenthesis or backslash without its counterpart, and `(` anywhere but after `$`.
pub fn split_words(line: &str) -> Result<Words<'_>, UnbalancedLine> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None::<char>;
    let mut ignored = None;
    let mut characters = line.char_indices();
    while let Some((index, c)) = characters.next() {
        match (quote, c) {
            (None | Some('"' | '`' | ')'), '\\') => {
                let (_, escaped) = characters.next().ok_or(UnbalancedLine { character: '\\' })?;
                word.get_or_insert_default().push(escaped);
            }
            (Some(end), c) if c == end => {
                quote = None;
                // What is between quotes loses them; what a shell would execute keeps its marks.
                if matches!(end, '`' | ')') {
                    word.get_or_insert_default().push(c);
                }
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '`') => {
                quote = Some('`');
                word.get_or_insert_default().push(c);
            }
            (None, '(') => match word.as_mut().filter(|word| word.ends_with('$')) {
                Some(word) => {
                    quote = Some(')');
                    word.push(c);
                }
                None => return Err(UnbalancedLine { character: '(' }),
            },
            (None, ';' | '&' | '|' | '<' | '>') => {
                // In `2> file` the number names a descriptor and is no word of its own.
                let descriptor = |word: &String| c == '>' && word.starts_with(|c: char| c.is_ascii_digit());
                word = word.filter(|word| !descriptor(word));
                ignored = Some(&line[index..]);
                break;
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(character) = quote {
        return Err(UnbalancedLine { character });
    }
    words.extend(word);
    Ok(Words { words, ignored })
}

/// A command line with a quote, parenthesis or backslash that has no counterpart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid command line string: {character:?} has no counterpart; quote it, or run a script")]
pub struct UnbalancedLine {
    character: char,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: &[&str], ignored: Option<&str>) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(split_words(line), Ok(Words { words, ignored }), "{line}");
    }

    #[test]
    fn blanks_separate_words() {
        check("", &[], None);
        check(" \t\n", &[], None);
        check("node server.js", &["node", "server.js"], None);
        check("  a \t b\nc ", &["a", "b", "c"], None);
    }

    #[test]
    fn quotes_keep_blanks_and_empty_words() {
        check("sh -c 'exit 5'", &["sh", "-c", "exit 5"], None);
        check(r#"a "b 'c' d" 'e "f" g'"#, &["a", "b 'c' d", r#"e "f" g"#], None);
        check(r#"a '' "" b"#, &["a", "", "", "b"], None);
        check("--name='a b'c", &["--name=a bc"], None);
    }

    #[test]
    fn backslash_takes_the_next_character_outside_of_single_quotes() {
        check(r"a\ b", &["a b"], None);
        check(r#""a\"b""#, &[r#"a"b"#], None);
        check(r"'a\b'", &[r"a\b"], None);
        check(r"a\;b \'", &["a;b", "'"], None);
    }

    #[test]
    fn operator_ends_the_command_and_the_rest_is_told() {
        check("migrate && serve", &["migrate"], Some("&& serve"));
        check("a; b", &["a"], Some("; b"));
        check("a | b", &["a"], Some("| b"));
        check("a > out 2>&1", &["a"], Some("> out 2>&1"));
        check("a 2>&1", &["a"], Some(">&1"));
        check("a '&&' \"|\"", &["a", "&&", "|"], None);
    }

    #[test]
    fn nothing_is_evaluated() {
        check("echo $HOME *.db ~", &["echo", "$HOME", "*.db", "~"], None);
        check("echo $(date -u; id) `id -u`", &["echo", "$(date -u; id)", "`id -u`"], None);
    }

    #[test]
    fn line_without_balance_is_refused() {
        for (line, character) in
            [("a 'b", '\''), ("a \"b", '"'), ("a (b)", '('), ("a $(b", ')'), ("a `b", '`'), ("a \\", '\\')]
        {
            assert_eq!(split_words(line), Err(UnbalancedLine { character }), "{line}");
        }
    }
}
