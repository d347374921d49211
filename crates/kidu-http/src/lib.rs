//! What Kidu's HTTP servers share: how connections are taken, bounded, and ended without losing a request.

mod connection;
mod linger;
mod refusal;
mod serve;
mod traffic;

pub use connection::{ConnectionSettings, Seat};
pub use linger::Patience;
pub use serve::{Shutdown, serve};
pub use traffic::Tracked;
