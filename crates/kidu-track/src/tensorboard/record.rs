//! `TFRecord` framing: length (8 bytes), its masked CRC-32C (4), data, their masked CRC-32C (4); all little endian.

/// The table of CRC-32C (Castagnoli), polynomial 0x1EDC6F41, reflected.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut value, mut bit) = (i as u32, 0);
        while bit < 8 {
            value = value >> 1 ^ (0x82F6_3B78 & (value & 1).wrapping_neg());
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

/// As `TFRecord` stores it, so that a checksum of data that hold checksums is still one.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// Appends a record.
pub(super) fn push(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length));
    out.extend(data);
    out.extend(masked(data));
}

/// The whole records at the beginning; ends at the first that is torn or whose checksum is wrong.
pub(super) fn records(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(12)?;
        let (length, check) = head.split_at(8);
        if masked(length) != check {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (data, tail) = tail.split_at_checked(length)?;
        let (check, tail) = tail.split_at_checked(4)?;
        rest = tail;
        (masked(data) == check).then_some(data)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // The check value of the catalogue of CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn torn_and_changed_records_end_the_reading() {
        let mut bytes = Vec::new();
        push(&mut bytes, b"one");
        push(&mut bytes, b"");
        push(&mut bytes, b"three");
        assert_eq!(records(&bytes).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        for n in 0..bytes.len() {
            assert!(records(&bytes[..n]).count() < 3);
        }
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        assert_eq!(records(&bytes).count(), 2);
    }
}
