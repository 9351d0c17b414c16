use std::ffi::OsStr;

use litefs_core::{DatabaseName, File};

/// What a name in the root directory stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    /// `.primary`, the host name of the primary.
    Primary,
    /// `.lag`, how far this node is behind.
    Lag,
    /// The `-journal`, `-wal` or `-shm` of a database.
    Sidecar(DatabaseName, File),
    /// `NAME-pos`, the position of a database.
    Position(DatabaseName),
    /// `NAME-lock`, held open for writing by who wants to halt the primary.
    HaltLock(DatabaseName),
    /// `NAME-mjXXXXXX9XX`, in which SQLite names the journals of a transaction over several databases ("Atomic Commit In
    /// SQLite" 5.2). It means nothing on another node.
    SuperJournal,
    /// Any other name a database can have.
    Plain(DatabaseName),
    /// A name no database can have.
    Foreign,
}

const SIDECARS: [(&str, File); 3] = [("-journal", File::Journal), ("-wal", File::Wal), ("-shm", File::Shm)];

impl Name {
    /// Tells names apart by their suffix, as LiteFS does.
    pub(crate) fn of(name: &OsStr) -> Self {
        let Some(text) = name.to_str() else { return Self::Foreign };
        match text {
            ".primary" => return Self::Primary,
            ".lag" => return Self::Lag,
            _ if is_super_journal(text) => return Self::SuperJournal,
            _ => {}
        }
        let base = |suffix| text.strip_suffix(suffix).and_then(|base| DatabaseName::new(base).ok());
        for (suffix, file) in SIDECARS {
            if let Some(base) = base(suffix) {
                return Self::Sidecar(base, file);
            }
        }
        if let Some(base) = base("-pos") {
            return Self::Position(base);
        }
        if let Some(base) = base("-lock") {
            return Self::HaltLock(base);
        }
        DatabaseName::new(text).map_or(Self::Foreign, Self::Plain)
    }
}

/// The name in the mount of one of a database's files, `None` for a file that only the data directory has.
pub(crate) fn file_name(database: &DatabaseName, file: File) -> Option<String> {
    let suffix = match file {
        File::Database => "",
        _ => SIDECARS.iter().find(|(_, sidecar)| *sidecar == file)?.0,
    };
    Some(format!("{database}{suffix}"))
}

fn is_super_journal(text: &str) -> bool {
    const DIGITS: usize = "XXXXXX9XX".len();
    let Some(split) = text.len().checked_sub("-mj".len() + DIGITS) else { return false };
    let Some((base, suffix)) = text.split_at_checked(split) else { return false };
    let Some(digits) = suffix.strip_prefix("-mj") else { return false };
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    !base.is_empty() && is_hex && digits.as_bytes()[6] == b'9'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Name {
        Name::of(OsStr::new(text))
    }

    fn database(text: &str) -> DatabaseName {
        DatabaseName::new(text).unwrap()
    }

    #[test]
    fn suffix_decides_what_a_name_stands_for() {
        assert_eq!(of("app.db"), Name::Plain(database("app.db")));
        assert_eq!(of("app.db-journal"), Name::Sidecar(database("app.db"), File::Journal));
        assert_eq!(of("app.db-wal"), Name::Sidecar(database("app.db"), File::Wal));
        assert_eq!(of("app.db-shm"), Name::Sidecar(database("app.db"), File::Shm));
        assert_eq!(of("app.db-pos"), Name::Position(database("app.db")));
        assert_eq!(of("app.db-lock"), Name::HaltLock(database("app.db")));
        assert_eq!(of(".primary"), Name::Primary);
        assert_eq!(of(".lag"), Name::Lag);
    }

    #[test]
    fn suffix_alone_is_an_ordinary_name() {
        assert_eq!(of("-wal"), Name::Plain(database("-wal")));
        assert_eq!(of("-pos"), Name::Plain(database("-pos")));
    }

    #[test]
    fn only_sqlites_own_pattern_is_a_super_journal() {
        assert_eq!(of("app.db-mj0A1B2C9F0"), Name::SuperJournal);
        for text in [
            "app.db-mj0A1B2C8F0",
            "app.db-mj0a1b2c9f0",
            "-mj0A1B2C9F0",
            "app.db-mj0A1B2C9F",
            "a\u{e9}-mjA1B2C9F0",
        ] {
            assert_eq!(of(text), Name::Plain(database(text)));
        }
    }

    #[test]
    fn name_that_is_not_text_is_foreign() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(Name::of(OsStr::from_bytes(b"\xff.db")), Name::Foreign);
    }

    #[test]
    fn files_of_the_data_directory_have_no_name_in_the_mount() {
        assert_eq!(file_name(&database("a"), File::Wal).as_deref(), Some("a-wal"));
        assert_eq!(file_name(&database("a"), File::Database).as_deref(), Some("a"));
        assert_eq!(file_name(&database("a"), File::Sums), None);
    }
}
