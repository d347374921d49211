//! The `kidu` command as people and machines call it.

#[test]
fn version() {
    assert!(!env!("CARGO_BIN_EXE_kidu").is_empty());
}
