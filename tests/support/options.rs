/// What a test changes in the configuration of its nodes. Each text is a part of a YAML flow mapping that begins with a
/// comma, such as `, retention: 1s`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Added to `data`.
    pub(crate) data: &'static str,
    /// Added to `fuse`.
    pub(crate) fuse: &'static str,
    /// Added to `lease`.
    pub(crate) lease: &'static str,
}
