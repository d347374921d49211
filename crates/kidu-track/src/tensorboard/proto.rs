//! As much of the protocol buffers' wire format as event files need: building a message, and looking at its fields.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// An integer, truth value or enumerator.
    pub(super) fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(super) fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// An integer, or a fixed number's bits.
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message in order; ends at the first that is not well formed.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Content<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut rest)?;
        let content = match key & 7 {
            VARINT => Content::Number(take_varint(&mut rest)?),
            FIXED64 => Content::Number(u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?)),
            FIXED32 => Content::Number(u64::from(u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?))),
            BYTES => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                Content::Bytes(take(&mut rest, length)?)
            }
            _ => return None,
        };
        Some((key >> 3, content))
    })
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(n)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_written() {
        let inner = Message::new().text(1, "größe");
        let bytes = Message::new().int(1, 300).double(2, 0.5).float(3, 0.25).message(16, inner).finish();
        // The first example of the encoding's description: field 1 = 300... here as 08 AC 02.
        assert_eq!(bytes[..3], [0x08, 0xAC, 0x02]);
        let read: Vec<_> = fields(&bytes).collect();
        assert_eq!(read[..2], [(1, Content::Number(300)), (2, Content::Number(0.5f64.to_bits()))]);
        assert_eq!(read[2], (3, Content::Number(u64::from(0.25f32.to_bits()))));
        let (16, Content::Bytes(inner)) = read[3] else { panic!("{read:?}") };
        assert_eq!(fields(inner).collect::<Vec<_>>(), [(1, Content::Bytes("größe".as_bytes()))]);
        // Cut anywhere, it ends early and does not panic.
        for n in 0..bytes.len() {
            assert!(fields(&bytes[..n]).count() <= 4);
        }
        assert_eq!(fields(&[0xFF; 20]).count(), 0);
    }
}
