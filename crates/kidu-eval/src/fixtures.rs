//! Predictions made by a formula that Python computes just the same: all logits are whole multiples of 1/512.

use kidu_core::ClassNames;

use crate::predictions::Predictions;

/// `n` images of `k` classes `c0`, `c1`, ...: label `(i + i²/11) mod k`, logit `((37i + 101c + 17ic + 5i²) mod 4093) /
/// 512`, and 4 more for the true class of two images in three.
pub(crate) fn predictions(n: usize, k: usize) -> Predictions {
    let label = |i: usize| (i + i * i / 11) % k;
    labelled(n, k, label)
}

/// The same logits with labels `i mod 3`, whatever `k` is: the other classes are absent.
pub(crate) fn three_labels(n: usize, k: usize) -> Predictions {
    labelled(n, k, |i| i % 3)
}

fn labelled(n: usize, k: usize, label: impl Fn(usize) -> usize) -> Predictions {
    let logit = |i: usize, c: usize| {
        let noise = ((37 * i + 101 * c + 17 * i * c + 5 * i * i) % 4093) as f32 / 512.0;
        if c == label(i) && !i.is_multiple_of(3) { noise + 4.0 } else { noise }
    };
    Predictions::new(
        ClassNames::new((0..k).map(|c| format!("c{c}"))).unwrap(),
        (0..n).map(&label).collect(),
        (0..n).map(|i| (0..k).map(|c| logit(i, c)).collect()).collect(),
        (0..n).map(|i| format!("{}/{i:04}.png", label(i))).collect(),
    )
    .unwrap()
}

/// Asserts that each element of an XML or XHTML text is closed in order.
pub(crate) fn assert_well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a '<' without '>'");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("");
        if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    let entity = |at: usize| {
        ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#x27;", "&#x2f;"].iter().any(|e| text[at..].starts_with(e))
    };
    assert!(text.match_indices('&').all(|(at, _)| entity(at)), "a bare '&'");
}
