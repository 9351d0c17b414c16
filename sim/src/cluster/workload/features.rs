use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Which of the rarer things programs do in a run. Most runs have few of them, so that they come together in many ways.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Features {
    /// Connections of each program.
    pub sessions: u64,
    /// Tables, indexes and columns come and go.
    pub schema: bool,
    /// Tables of one connection alone, and what SQLite puts into files without a name.
    pub temporary: bool,
    /// `VACUUM`, and what an incremental one does.
    pub vacuum: bool,
    /// `VACUUM` with other page sizes.
    pub page_sizes: bool,
    /// Transactions larger than the cache.
    pub large: bool,
    /// Transactions that read for seconds.
    pub long_readers: bool,
    /// Deleted content is overwritten.
    pub secure_delete: bool,
    /// What a journal or the WAL may keep of its length.
    pub journal_size_limit: bool,
    /// Nobody checkpoints but those who ask for it.
    pub no_auto_checkpoint: bool,
    /// Journal modes that give up atomicity.
    pub unjournaled: bool,
    /// Databases are removed and created again.
    pub drops: bool,
    /// Databases are replaced by files that are copied in.
    pub copies: bool,
    /// Pages are written past SQLite.
    pub edits: bool,
    /// Where the page is that SQLite locks and never writes, if not at 1 GiB.
    pub pending_byte: Option<u32>,
}

impl Features {
    /// Those of the run that `seed` stands for.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let part = |name: &str| Rng::of_part(seed, &format!("workload {name}"));
        let has = |name: &str, percent| part(name).percent(percent);
        Self {
            sessions: part("sessions").pick(&[1, 1, 1, 2, 3]),
            schema: has("schema", 30),
            temporary: has("temporary", 15),
            vacuum: has("vacuum", 30),
            page_sizes: has("page sizes", 30),
            large: has("large", 40),
            long_readers: has("long readers", 25),
            secure_delete: has("secure delete", 15),
            journal_size_limit: has("journal size limit", 15),
            no_auto_checkpoint: has("no auto checkpoint", 10),
            unjournaled: has("unjournaled", 6),
            drops: has("drops", 12),
            copies: has("copies", 10),
            edits: has("edits", 8),
            pending_byte: {
                let mut rng = part("pending byte");
                let place = rng.pick(&[0x1_0000, 0x2_0000, 0x4_0000]);
                rng.percent(8).then_some(place)
            },
        }
    }

    /// Whether anybody changes files past SQLite.
    pub(crate) fn changes_files(&self) -> bool {
        self.drops || self.copies || self.edits
    }
}
