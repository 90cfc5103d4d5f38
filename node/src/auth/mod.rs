//! Who is asking, and what they may do.
//!
//! Two kinds of tokens: Biscuits ([`biscuit`]), signed by the operator key, for an add-on's root and user; and service
//! tokens ([`token`]), opaque and stored behind the barrier. What either may do is said in policies ([`policy`]), which
//! are compiled into an [`acl`]; [`policies`] are their rows.

pub mod acl;
pub mod biscuit;
pub mod builtin;
pub mod policies;
pub mod policy;
pub mod token;
