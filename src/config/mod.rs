//! Configuration: `litefs.yml`, the environment it mentions and the command line, made into settings that are valid.
//!
//! What the text of a file means is in the crate beside this, `litefs-config-file`. This is the only reader of configuration files. Files of LiteFS are read as they are. What such a file asks for and
//! this program cannot do yet is refused, never ignored.

mod config_error;
mod environment;
mod load;
mod resolve;
mod settings;

pub(crate) use config_error::ConfigError;
pub(crate) use environment::Environment;
pub(crate) use litefs_config_file::{LogFormat, OtherFiles};
pub(crate) use load::{ConfigSource, Loaded, load};
pub(crate) use resolve::{Overrides, ignored_by_exec};
pub(crate) use settings::{Config, LogConfig, StaticRole};

#[cfg(test)]
mod tests {
    use super::*;

    /// The YAML examples in a document.
    fn examples(document: &str) -> Vec<String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = std::fs::read_to_string(path).unwrap();
        let blocks = text.split("```yaml\n").skip(1);
        blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn examples_in_the_documents_are_valid_configurations() {
        for document in ["README.md", "docs/operations.md"] {
            let examples = examples(document);
            assert!(!examples.is_empty(), "{document} has no example");
            for example in examples {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), &example).unwrap();
                let source = ConfigSource::Path(file.path().to_owned());
                let loaded = load(&source, true, Overrides::default(), &Environment::for_test(&[]));
                let loaded = loaded.unwrap_or_else(|error| panic!("{document}: {error}\n{example}"));
                assert!(loaded.warnings.is_empty(), "{document}: {:?}", loaded.warnings);
            }
        }
    }
}
