//! Configuration: `litefs.yml`, the environment it mentions and the command line, made into settings that are valid.
//!
//! This is the only reader of configuration files. Files of LiteFS are read as they are. What such a file asks for and
//! this program cannot do yet is refused, never ignored.

mod byte_size;
mod config_error;
mod config_file;
mod duration;
mod environment;
mod exec_spec;
mod expand_env;
mod listen_address;
mod load;
mod resolve;
mod settings;
mod syntax_error;

pub(crate) use config_error::ConfigError;
pub(crate) use environment::Environment;
pub(crate) use listen_address::ListenAddress;
pub(crate) use load::{ConfigSource, Loaded, load};
pub(crate) use resolve::{Overrides, ignored_by_exec};
pub(crate) use settings::{Config, LogConfig, LogFormat, OtherFiles, StaticRole};
