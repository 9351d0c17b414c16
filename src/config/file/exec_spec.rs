use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Expected, MapAccess, SeqAccess, Visitor};

/// What `exec` may be: one command as text, or a list of entries.
#[derive(Debug)]
pub struct ExecSpec(pub Vec<ExecSpecEntry>);

/// One entry of the list, not split into words yet.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExecSpecEntry {
    /// The command.
    pub cmd: Option<String>,
    /// Whether it is run only where the node may become primary.
    pub if_candidate: Option<bool>,
}

impl<'de> Deserialize<'de> for ExecSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExecSpecVisitor)
    }
}

struct ExecSpecVisitor;

impl<'de> Visitor<'de> for ExecSpecVisitor {
    type Value = ExecSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command, or a list of entries with `cmd` and `if-candidate`")
    }

    fn visit_str<E>(self, text: &str) -> Result<ExecSpec, E> {
        Ok(ExecSpec(vec![ExecSpecEntry { cmd: Some(text.to_owned()), if_candidate: None }]))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<ExecSpec, A::Error> {
        Err(A::Error::custom(format_args!("invalid exec config format: expected {}", &self as &dyn Expected)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<ExecSpec, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(ExecSpec(list))
    }
}
