use std::sync::atomic::{AtomicU64, Ordering};

/// How many requests of each kind the kernel has sent. What a transaction costs is the number of these it needs.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; Operation::NAMES.len()]);

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// The kinds of requests.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Operation { $(#[doc = stringify!($name)] $name),* }

        impl Operation {
            const NAMES: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];
        }
    };
}

operations! {
    Lookup, Forget, Getattr, Setattr, Readlink, Mknod, Mkdir, Unlink, Rmdir, Symlink, Rename, Link, Open, Read, Write,
    Flush, Release, Fsync, Opendir, Readdir, Readdirplus, Releasedir, Fsyncdir, Statfs, Create, Fallocate,
}

impl Counters {
    pub(crate) fn count(&self, operation: Operation) {
        self.0[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every kind with its count, in the order of the protocol.
    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        Operation::NAMES.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}
