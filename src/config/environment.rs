use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the configuration takes from its surroundings: environment variables and the name of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    hostname: String,
}

impl Environment {
    /// The surroundings of this process. `HOSTNAME` counts as set to the name of the machine when it is empty.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(variables, rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    fn new(variables: impl IntoIterator<Item = (String, String)>, hostname: String) -> Self {
        let mut variables: BTreeMap<_, _> = variables.into_iter().collect();
        variables
            .entry("HOSTNAME".to_owned())
            .and_modify(|value| {
                if value.is_empty() {
                    value.clone_from(&hostname);
                }
            })
            .or_insert_with(|| hostname.clone());
        Self { variables, hostname }
    }

    /// The value of a variable, if it is set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The name of this machine.
    pub(crate) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Where a configuration is looked for when none is named, in order.
    pub(crate) fn config_paths(&self) -> Vec<PathBuf> {
        let home = std::env::home_dir().map(|home| home.join("litefs.yml"));
        [Some(PathBuf::from("litefs.yml")), home, Some(PathBuf::from("/etc/litefs.yml"))]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
impl Environment {
    /// Made-up surroundings: the variables given and a machine called `node-a`.
    pub(crate) fn for_test(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::new(variables, "node-a".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostname_variable_defaults_to_the_name_of_the_machine() {
        assert_eq!(Environment::for_test(&[]).variable("HOSTNAME"), Some("node-a"));
        assert_eq!(Environment::for_test(&[("HOSTNAME", "")]).variable("HOSTNAME"), Some("node-a"));
        assert_eq!(Environment::for_test(&[("HOSTNAME", "other")]).variable("HOSTNAME"), Some("other"));
    }
}
