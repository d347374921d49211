//! Ranges in settings: `[least, greatest]`, or a single number that stands for one.

use std::fmt;

use serde::{Deserializer, de};

/// What a single number stands for.
trait Short {
    const EXPECTED: &'static str;
    fn range(number: f64) -> [f64; 2];
}

struct Symmetric;
struct FromOne;
struct Exact;

impl Short for Symmetric {
    const EXPECTED: &'static str = "[least, greatest], or a number n for [-n, n]";
    fn range(number: f64) -> [f64; 2] {
        [-number, number]
    }
}

impl Short for FromOne {
    const EXPECTED: &'static str = "[least, greatest], or a number n for [1, n]";
    fn range(number: f64) -> [f64; 2] {
        [1.0, number]
    }
}

impl Short for Exact {
    const EXPECTED: &'static str = "[least, greatest], or a number for that one";
    fn range(number: f64) -> [f64; 2] {
        [number, number]
    }
}

/// `n` is `[-n, n]`.
pub(super) fn symmetric<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    read::<Symmetric, D>(deserializer)
}

/// `n` is `[1, n]`.
pub(super) fn from_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    read::<FromOne, D>(deserializer)
}

/// `n` is `[n, n]`.
pub(super) fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    read::<Exact, D>(deserializer)
}

/// Sizes of kernels: `n` is `[3, n]`.
pub(super) fn sizes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u32; 2], D::Error> {
    deserializer.deserialize_any(Sizes)
}

fn read<'de, S: Short, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    deserializer.deserialize_any(Numbers::<S>(std::marker::PhantomData))
}

struct Numbers<S>(std::marker::PhantomData<S>);

impl<'de, S: Short> de::Visitor<'de> for Numbers<S> {
    type Value = [f64; 2];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<[f64; 2], E> {
        Ok(S::range(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<[f64; 2], E> {
        Ok(S::range(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<[f64; 2], E> {
        Ok(S::range(number))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<[f64; 2], A::Error> {
        two(seq, &self)
    }
}

struct Sizes;

impl<'de> de::Visitor<'de> for Sizes {
    type Value = [u32; 2];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[least, greatest] in whole pixels, or a number n for [3, n]")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<[u32; 2], E> {
        let number = u32::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))?;
        Ok([3.min(number), number])
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<[u32; 2], A::Error> {
        two(seq, &self)
    }
}

/// Exactly two values; a third one is an error.
fn two<'de, T: de::Deserialize<'de>, A: de::SeqAccess<'de>>(
    mut seq: A,
    expected: &dyn de::Expected,
) -> Result<[T; 2], A::Error> {
    let mut next = |have: usize| seq.next_element()?.ok_or_else(|| de::Error::invalid_length(have, expected));
    let pair = [next(0)?, next(1)?];
    match seq.next_element::<de::IgnoredAny>()? {
        None => Ok(pair),
        Some(_) => Err(de::Error::invalid_length(3, expected)),
    }
}
