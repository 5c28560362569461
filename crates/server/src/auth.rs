//! Who calls: bearer tokens, from their making to the decision whether they open something.
//!
//! A token is `fgp_` (a person) or `fgs_` (a service), 8 public characters by which it is found, 43 secret
//! ones (256 bits from the operating system) and 6 that catch a slip of the hand. Only its hash is kept; a
//! fast hash is right *because* the secret is random. Start with `bearer.rs`.

mod bearer;
mod caller;
mod limiter;
mod token;

pub(crate) use bearer::{Peer, admit};
pub(crate) use caller::Caller;
pub(crate) use limiter::Failures;
pub use token::{NewToken, TokenKind, mint};
