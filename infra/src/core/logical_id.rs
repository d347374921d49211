//! Names of resources inside a template.

use kidu_core::Sha256Hex;

/// The most characters that CloudFormation takes.
const LONGEST: usize = 255;
/// Hexadecimal digits of the path's hash.
const HASH: usize = 8;

/// A resource's logical id: a prefix for people and a short hash of its path. It depends on the path alone, so that
/// what stands elsewhere in the stack never renames, and so never replaces, a resource.
pub fn logical_id(path: &[String]) -> String {
    let hash = Sha256Hex::of_bytes(path.join("/").as_bytes()).as_str()[..HASH].to_ascii_uppercase();
    let mut words: Vec<String> = path.iter().map(|p| p.chars().filter(char::is_ascii_alphanumeric).collect()).collect();
    words.dedup();
    let prefix: String = words.concat().chars().take(LONGEST - HASH).collect();
    format!("{prefix}{hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn they_are_stable() {
        // Written down: a change here would replace every resource of every installation.
        assert_eq!(logical_id(&path(&["Raw", "Bucket"])), "RawBucketAE74A045");
        assert_eq!(logical_id(&path(&["Raw", "Raw"])), "Raw3CBF1743");
    }

    proptest! {
        #[test]
        fn they_are_valid_and_differ(a in prop::collection::vec("[A-Za-z0-9 _.-]{1,90}", 1..5),
                                     b in prop::collection::vec("[A-Za-z0-9 _.-]{1,90}", 1..5)) {
            let (x, y) = (logical_id(&a), logical_id(&b));
            prop_assert!(x.len() <= LONGEST && x.chars().all(|c| c.is_ascii_alphanumeric()));
            prop_assert_eq!(a == b, x == y);
        }
    }
}
