//! `multipart/form-data`, as uploads are sent.

use super::Upload;

/// The media type and the body of an upload.
pub(super) fn body(files: &[Upload]) -> (String, Vec<u8>) {
    let boundary = boundary(files);
    let mut body = Vec::with_capacity(files.iter().map(|f| f.bytes.len() + 256).sum());
    for (index, file) in files.iter().enumerate() {
        let name = quoted(&file.name);
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file{index}\"; filename=\"{name}\"\r\n\
             Content-Type: {}\r\n\r\n",
            file.media_type
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// A line that no file holds.
fn boundary(files: &[Upload]) -> String {
    let mut number = 0u64;
    loop {
        let boundary = format!("kidu-{number:016x}");
        let inside = |f: &Upload| f.bytes.windows(boundary.len()).any(|w| w == boundary.as_bytes());
        if !files.iter().any(inside) {
            return boundary;
        }
        number += 1;
    }
}

/// A file name between quotes, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_part_and_none_holds_the_boundary() {
        let file = |name: &str, bytes: &[u8]| Upload {
            name: name.into(),
            media_type: "image/jpeg".into(),
            bytes: bytes.to_vec(),
        };
        let (kind, body) = body(&[file("a \"b\".jpg", b"one kidu-0000000000000000"), file("c.jpg", b"two")]);
        assert_eq!(kind, "multipart/form-data; boundary=kidu-0000000000000001");
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("filename=\"a %22b%22.jpg\"\r\nContent-Type: image/jpeg\r\n\r\none "));
        assert!(text.contains("\r\n\r\ntwo\r\n--kidu-0000000000000001--\r\n"));
        assert_eq!(text.matches("--kidu-0000000000000001\r\n").count(), 2);
    }
}
