/// Whether a message is to be compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// When permessage-deflate is agreed on and the message is long enough.
    #[default]
    Default,
    /// Not: for a message that would not become smaller, or that must not share a compressor with
    /// others.
    Skip,
}
