use std::io;
use std::path::PathBuf;

use litefs_config_file::{ConfigFile, expand_env};

use super::resolve::{Overrides, resolve, single_primary};
use super::{Config, ConfigError, Environment};

/// Which file holds the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ConfigSource {
    /// This one.
    Path(PathBuf),
    /// The first that exists where a configuration is looked for.
    Search,
    /// None: a single primary with the defaults.
    None,
}

/// A configuration and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) config: Config,
    /// The file that was found by searching.
    pub(crate) found: Option<PathBuf>,
    /// What the file says and has no effect.
    pub(crate) warnings: Vec<String>,
}

/// Reads, checks and completes a configuration.
pub(crate) fn load(
    source: &ConfigSource,
    expand: bool,
    overrides: Overrides,
    environment: &Environment,
) -> Result<Loaded, ConfigError> {
    let (file, found) = match source {
        ConfigSource::Path(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            (parse(path.clone(), text, expand, environment)?, None)
        }
        ConfigSource::Search => {
            let (path, text) = search(environment.config_paths())?;
            (parse(path.clone(), text, expand, environment)?, Some(path))
        }
        ConfigSource::None => (single_primary(), None),
    };
    let mut warnings = Vec::new();
    let config = resolve(file, overrides, environment, &mut warnings)?;
    Ok(Loaded { config, found, warnings })
}

/// The first of these files that exists, and its text.
fn search(paths: Vec<PathBuf>) -> Result<(PathBuf, String), ConfigError> {
    for path in &paths {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok((path.clone(), text)),
            // The second is a home directory such as /dev/null.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(ConfigError::Read { path: path.clone(), source }),
        }
    }
    Err(ConfigError::NotFound { searched: paths })
}

fn parse(
    path: PathBuf,
    text: String,
    expand: bool,
    environment: &Environment,
) -> Result<ConfigFile, ConfigError> {
    let text = match expand {
        true => expand_env(&text, |name| environment.variable(name).map(str::to_owned)),
        false => text,
    };
    // Comments and blank lines alone are as empty as no line.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(ConfigError::Empty { path });
    }
    ConfigFile::parse(&text).map_err(|error| ConfigError::Syntax { path, error })
}

#[cfg(test)]
mod tests {
    use super::load as load_file;
    use super::*;

    #[test]
    fn first_file_that_exists_wins() {
        let dir = tempfile::tempdir().unwrap();
        let [missing, below_a_file, first, second] = ["0", "1/0", "1", "2"].map(|name| dir.path().join(name));
        std::fs::write(&first, "first").unwrap();
        std::fs::write(&second, "second").unwrap();
        let found = search(vec![missing, below_a_file, first.clone(), second]).unwrap();
        assert_eq!(found, (first, "first".to_owned()));
    }

    #[test]
    fn search_without_a_file_names_where_it_looked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("litefs.yml");
        let error = search(vec![path.clone()]).unwrap_err().to_string();
        assert!(error.starts_with("config file not found: "), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn variables_are_expanded_before_the_text_is_read_unless_told_not_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("litefs.yml");
        std::fs::write(&path, "data:\n  dir: /data/${NAME}\nlease:\n  type: static\n").unwrap();
        let environment = Environment::for_test(&[("NAME", "one")]);
        let load = |expand| {
            let source = ConfigSource::Path(path.clone());
            load_file(&source, expand, Overrides::default(), &environment).unwrap().config.data.dir
        };
        assert_eq!(load(true), PathBuf::from("/data/one"));
        assert_eq!(load(false), PathBuf::from("/data/${NAME}"));
    }

    #[test]
    fn empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("litefs.yml");
        for text in ["", "\n\n", "# data:\n  # dir: /a\n"] {
            std::fs::write(&path, text).unwrap();
            let source = ConfigSource::Path(path.clone());
            let error =
                load_file(&source, true, Overrides::default(), &Environment::for_test(&[])).unwrap_err();
            assert!(matches!(error, ConfigError::Empty { .. }), "{error}");
        }
    }
}
