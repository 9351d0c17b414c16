//! What a log keeps, as an age in milliseconds and a size in bytes. The core knows nothing of texts.

use litefs_core::log::Retention;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Retention")]
struct Fields {
    age_ms: Option<i64>,
    size: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Text(#[serde(with = "Fields")] Retention);

pub(crate) fn serialize<S: Serializer>(
    retention: &Option<Retention>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    retention.map(Text).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Retention>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(retention)| retention))
}
