//! What a `litefs.yml` may say: its text, its keys, and how durations, sizes, addresses and commands are written.
//!
//! Nothing here looks at the world or knows what a setting does, so that all of it can be fuzzed without the daemon.

#![forbid(unsafe_code)]

mod byte_size;
mod config_file;
mod duration;
mod exec_spec;
mod expand_env;
mod listen_address;
mod log_format;
mod other_files;
mod syntax_error;
mod word_split;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use config_file::{
    BackupSection, ConfigFile, ConsulSection, DataSection, FuseSection, HttpSection, LeaseSection,
    LogSection, ProxySection, TracingSection,
};
pub use duration::{InvalidDuration, SignedDuration};
pub use exec_spec::{ExecSpec, ExecSpecEntry};
pub use expand_env::expand_env;
pub use listen_address::{InvalidListenAddress, ListenAddress};
pub use log_format::LogFormat;
pub use other_files::OtherFiles;
pub use syntax_error::SyntaxError;
pub use word_split::{UnbalancedLine, Words, split_words};
