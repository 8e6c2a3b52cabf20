//! Extensions (RFC 6455 §9): the negotiation of them, and permessage-deflate (RFC 7692), the only
//! one there is.

pub mod negotiation;
pub mod permessage_deflate;
