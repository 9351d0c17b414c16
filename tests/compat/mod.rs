//! What LiteFS 0.5 leaves on disk.
//!
//! `recorded/` has database directories as LiteFS 0.5.14 left them when it was killed, without `shm`:
//!
//! | directory | what happened |
//! |---|---|
//! | `rollback` | two inserts in rollback mode |
//! | `wal` | two inserts in WAL mode, none of them checkpointed |
//! | `journal` | killed within a transaction that had written to the database file |
//! | `hole` | pages allocated and given up within one transaction, above the old end of the file |
//! | `hollow` | `PRAGMA journal_mode=DELETE` on a WAL database: the newest transaction has no page |
//! | `dropped` | the database was removed |

mod left;
mod takeover;
mod takeover_errors;
mod takeover_interrupted;
mod verify;
