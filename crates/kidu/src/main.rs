//! The `kidu` command.
fn main() {}
