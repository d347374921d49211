//! What Kidu's HTTP servers do with connections below hyper.

mod last_call;
mod linger;

pub use last_call::last_call;
pub use linger::{Linger, Patience, Unread};
