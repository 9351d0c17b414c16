/// A rule that the code breaks on purpose, so that the simulator can be seen to notice.
///
/// Each is a mistake that somebody made: this program before its first version, or another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mistake {
    // Commits.
    /// A commit in rollback mode is acknowledged before the log is synced: NATS 2.12 lost acknowledged writes so.
    CommitsBeforeLogSync,
    /// The journal is ended before the log has its transaction: LiteFS issues 405 and 410.
    EndsJournalBeforeLog,
    /// A commit is looked for only in the frame that is being written: LiteFS pull request 205.
    LooksAtOneFrame,
    /// Pages that the database grew by and that SQLite never wrote are left out: LiteFS, and its issue 428.
    LeavesOutUnwrittenPages,
    /// A journal whose header is overwritten with zeros does not count as ended.
    MissesPersistCommit,
    /// Writes of a journaled transaction do not count while the database is in WAL mode, which changes only with
    /// that transaction: LiteFS sent replicas a transaction without pages.
    MissesWritesInWalMode,
    /// Writes that the kernel lets pass the daemon are not looked for.
    MissesUnseenWrites,
    /// The bytes of a commit are written before it is known whether it can be accepted.
    WritesRefusedCommit,
    /// SQLite is told of an error after the log has the transaction, rolls it back, and goes on.
    FailsAfterLog,
    /// A journal that was not ended leaves the name of its super-journal to the one that is written over it.
    LeavesSuperJournalName,
    /// The checksums of pages that the database was cut by stay: LiteFS issue 445 is about the same step.
    KeepsSumsOfCutPages,
    /// A captured transaction that the log cannot take for want of space is forgotten: dqlite issue 401 is alike.
    DropsQueueOnError,

    // The write-ahead log.
    /// The WAL starts over before its transactions are in the log: SQLite's WAL reset, Litestream issues 1432 and 1436.
    WalStartsOverBeforeLog,
    /// The WAL starts over beside a commit whose writer died before it published it.
    WalStartsOverInDoubt,
    /// Frames of a commit whose writer died before it published it are written over.
    OverwritesCommitInDoubt,

    // Syncs.
    /// The log counts as synced when a later sync succeeds than the one that failed: PostgreSQL's fsyncgate.
    ForgetsFailedLogSync,
    /// The same of the WAL.
    ForgetsFailedWalSync,
    /// A journal or WAL is synced and its name is not.
    ForgetsNameOfJournal,
    /// A segment of the log is synced and its name is not.
    ForgetsNameOfSegment,
    /// The log begins a new segment before the last one is synced: dqlite's corrupt segments in the field.
    RotatesBeforeSync,

    // The saved checksums, and retention.
    /// Checksums are saved as if a checkpoint had copied all of the WAL.
    SavesBeforeCheckpoint,
    /// A checkpoint that left off before the WAL's end counts as a whole one: Turso issue 7722.
    BelievesPartOfCheckpoint,
    /// The file of saved checksums gets its name before its content is synced.
    RenamesUnsyncedSums,
    /// Retention removes transactions that recovery has still to write to the database file.
    ExpiresWhatRecoveryNeeds,

    // Recovery.
    /// A start with checksums at the log's end looks at nothing else: rqlite issue 2747 is alike.
    BelievesCleanStart,
    /// The saved checksums are taken for those at the log's end.
    BelievesStaleSums,
    /// A transaction at the log's end is taken by its header alone.
    BelievesTornTransaction,
    /// What follows a torn end of the log is appended behind it.
    AppendsBehindTornEnd,
    /// What the log has is taken for durable because it can be read.
    BelievesWhatItReads,
    /// The log's end is written again after a failed sync, but not the header of its segment.
    LeavesOutSegmentHeader,
    /// An interrupted transaction stays: its journal is thrown away.
    SkipsRollback,
    /// A transaction is rolled back although its super-journal is gone.
    RollsBackAfterSuperJournal,
    /// A transaction counts as committed because its journal names a super-journal, whether or not that is there.
    BelievesAnySuperJournal,
    /// The journal is removed as soon as it is rolled back, before the log has what is left of its transaction.
    RemovesJournalEarly,
    /// Transactions that only the WAL has are not taken over.
    SkipsCapture,
    /// The log is written to the database file before it has what only the WAL had.
    CapturesAfterRedo,
    /// Frames of the WAL count although their checksum is wrong.
    IgnoresFrameChecksums,
    /// How far the log covers the WAL is believed of any WAL, whatever its salts.
    IgnoresSalts,
    /// A WAL that came back with a loss of power is captured again.
    IgnoresSupersededWal,
    /// Transactions after the base are not written to the database file.
    SkipsRedo,
    /// What a rollback leaves changed on the freelist is no transaction.
    SkipsFreelist,
    /// The new base is saved before the database file is synced.
    SettlesBeforeSync,
}

/// The mistake that is planted, if any. None is, outside of the simulator's own test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(Option<Mistake>);

impl Planted {
    /// Whether this mistake is to be made.
    #[inline]
    pub fn makes(self, mistake: Mistake) -> bool {
        self.0 == Some(mistake)
    }
}

impl From<Mistake> for Planted {
    fn from(mistake: Mistake) -> Self {
        Self(Some(mistake))
    }
}
