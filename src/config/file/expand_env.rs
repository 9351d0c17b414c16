/// Replaces `$NAME` and `${…}` in the text of a configuration file by values of environment variables.
///
/// Inside braces stand `NAME`, or a comparison `NAME == X` or `NAME != X`, which becomes `true` or `false`; X is a
/// text in single or double quotes, or the name of another variable. A variable that is not set is empty. There is no
/// escape for `$`: one that starts neither form vanishes together with the one special character it may precede, as
/// in Go's `os.Expand`. The rules are LiteFS's, so that one file serves both.
pub fn expand_env(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        rest = expand_one(rest, &mut expanded, &variable);
    }
    expanded.push_str(rest);
    expanded
}

/// Expands what stands after a `$` and returns what follows it.
fn expand_one<'a>(
    rest: &'a str,
    expanded: &mut String,
    variable: &impl Fn(&str) -> Option<String>,
) -> &'a str {
    let value = |name: &str| variable(name).unwrap_or_default();
    match rest.chars().next() {
        // A `$` at the very end stays.
        None => {
            expanded.push('$');
            rest
        }
        Some('{') => match rest.find('}') {
            Some(end) => {
                expanded.push_str(&evaluate(rest[1..end].trim(), &value));
                &rest[end + 1..]
            }
            // Without a closing brace the two characters vanish.
            None => &rest[1..],
        },
        Some(special @ ('*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9')) => {
            expanded.push_str(&value(&special.to_string()));
            &rest[1..]
        }
        Some(_) => {
            let len = rest.find(|c: char| !is_name_character(c)).unwrap_or(rest.len());
            if len == 0 {
                expanded.push('$');
            } else {
                expanded.push_str(&value(&rest[..len]));
            }
            &rest[len..]
        }
    }
}

/// The value of what stands between the braces.
fn evaluate(expression: &str, value: &impl Fn(&str) -> String) -> String {
    for (operator, wanted) in [("==", true), ("!=", false)] {
        let Some((left, right)) = expression.split_once(operator) else { continue };
        let (left, right) = (left.trim(), right.trim());
        let compared = match quoted(right) {
            Some(literal) => literal.to_owned(),
            None if is_name(right) => value(right),
            None => continue,
        };
        if is_name(left) {
            return ((value(left) == compared) == wanted).to_string();
        }
    }
    value(expression)
}

/// What stands between two equal quotes.
fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_character)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        expand_env(text, |name| match name {
            "REGION" => Some("ord".to_owned()),
            "PRIMARY_REGION" => Some("ord".to_owned()),
            "OTHER_REGION" => Some("ams".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_replaced_with_and_without_braces() {
        assert_eq!(expand("a $REGION b"), "a ord b");
        assert_eq!(expand("$REGION-1"), "ord-1");
        assert_eq!(expand("${REGION}1 ${ REGION }"), "ord1 ord");
        assert_eq!(expand("[$UNSET][${UNSET}]"), "[][]");
    }

    #[test]
    fn comparisons_become_true_or_false() {
        for (text, expected) in [
            ("${REGION == 'ord'}", "true"),
            ("${ REGION == \"ord\" }", "true"),
            ("${REGION=='ams'}", "false"),
            ("${REGION != 'ams'}", "true"),
            ("${REGION != \"ord\"}", "false"),
            ("${REGION == PRIMARY_REGION}", "true"),
            ("${REGION == OTHER_REGION}", "false"),
            ("${REGION != OTHER_REGION}", "true"),
            ("${UNSET == ''}", "true"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
    }

    #[test]
    fn dollar_that_starts_no_variable_has_no_escape() {
        assert_eq!(expand("a$$b"), "ab");
        assert_eq!(expand("a$1b"), "ab");
        assert_eq!(expand("a$ b$"), "a$ b$");
        assert_eq!(expand("a${REGION"), "aREGION");
    }

    #[test]
    fn text_around_variables_is_kept_as_it_is() {
        assert_eq!(expand("caf\u{e9}: $REGION\u{e9}\n# $REGION\n"), "caf\u{e9}: ord\u{e9}\n# ord\n");
    }
}
