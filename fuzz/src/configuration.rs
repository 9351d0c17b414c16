use litefs_config_file::{ByteSize, ConfigFile, ListenAddress, SignedDuration, expand_env, split_words};

/// The text of a configuration file, and at the same time of any of its values.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let expanded = expand_env(text, variable);
    assert!(text.contains('$') || expanded == text, "changed without a variable: {expanded:?}");
    // The longest value has eight bytes and is named by two.
    assert!(expanded.len() <= text.len() * 4, "{} bytes became {}", text.len(), expanded.len());
    match ConfigFile::parse(&expanded) {
        Ok(file) => check_durations(&file),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    values(text);
}

/// The surroundings: a value, one that looks like a variable, and one that is YAML.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "REGION" | "R" => "ord",
        "D" => "${R}",
        "Y" => "{a: [b]}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn check_durations(file: &ConfigFile) {
    let retention = file.data.as_ref().and_then(|data| data.retention);
    if let Some(retention) = retention {
        let (positive, not_negative) = (retention.positive(), retention.not_negative());
        assert_eq!(positive, not_negative.filter(|duration| !duration.is_zero()));
    }
}

fn values(text: &str) {
    if let Ok(duration) = text.parse::<SignedDuration>()
        && let Some(length) = duration.positive()
    {
        assert_eq!(format!("{}ns", length.as_nanos()).parse(), Ok(duration), "{text:?}");
        let negative = format!("-{}", text.trim_start_matches('+'));
        assert_eq!(negative.parse::<SignedDuration>().map(SignedDuration::not_negative), Ok(None));
    }
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.bytes().to_string().parse(), Ok(size), "{text:?}");
    }
    if let Ok(address) = text.parse::<ListenAddress>() {
        assert_eq!(address.to_string().parse().as_ref(), Ok(&address), "{text:?}");
    }
    if let Ok(line) = split_words(text) {
        let ignored = line.ignored.unwrap_or_default();
        assert!(text.ends_with(ignored));
        let len: usize = line.words.iter().map(String::len).sum();
        assert!(len + ignored.len() <= text.len(), "{text:?} has {len} bytes of words");
    }
}
