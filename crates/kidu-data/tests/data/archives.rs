//! Archives, honest and evil.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use kidu_core::progress::Silent;
use kidu_data::{ArchiveLimits, archive::extract, prepare};
use zip::write::SimpleFileOptions;

use crate::support::{dir, png, put, says, settings};

type Entries<'a> = &'a [(&'a str, &'a [u8])];

fn zip_of(path: &Path, entries: Entries<'_>) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Writes the names as they are, which the library's own methods would refuse for evil ones.
fn tar_bytes(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let field = &mut header.as_gnu_mut().unwrap().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("target").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpack(archive: &Path, out: &Path) -> kidu_data::Result<PathBuf> {
    extract(archive, out, &ArchiveLimits::default(), &Silent)
}

/// Nothing but the lock is left of a refused archive.
#[track_caller]
fn nothing_left(out: &Path) {
    let left: Vec<_> = fs::read_dir(out.join("images")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
    assert!(!out.parent().unwrap().join("evil.png").exists());
}

#[test]
fn every_kind_is_extracted_once() {
    let d = dir();
    let zip = d.path().join("a.ZIP");
    zip_of(&zip, &[("sea/1.png", &png(1)), ("./forest//2.png", &png(2)), ("empty/", b"")]);
    let file = tar::EntryType::Regular;
    let tar = tar_bytes(&[("sea/", tar::EntryType::Directory, b""), ("sea/1.png", file, &png(1))]);
    let (plain, packed) = (put(d.path(), "b.tar", &tar), put(d.path(), "c.tgz", &gz(&tar)));
    for archive in [&zip, &plain, &packed] {
        let out = d.path().join("out");
        let folder = unpack(archive, &out).unwrap();
        assert_eq!(fs::read(folder.join("sea/1.png")).unwrap(), png(1));
        let marker = folder.join("marker");
        fs::write(&marker, b"").unwrap();
        assert_eq!(unpack(archive, &out).unwrap(), folder);
        assert!(marker.exists(), "the second run uses the first one's folder");
        // A file cut short by a crash is noticed, and everything extracted anew.
        fs::write(folder.join("sea/1.png"), b"").unwrap();
        unpack(archive, &out).unwrap();
        assert!(!marker.exists());
        assert_eq!(fs::read(folder.join("sea/1.png")).unwrap(), png(1));
    }
}

#[test]
fn long_names_survive_tar() {
    let d = dir();
    let name = format!("{}/{}.png", "c".repeat(90), "n".repeat(90));
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    tar.append_data(&mut header, &name, &b"x"[..]).unwrap();
    let archive = put(d.path(), "a.tar", &tar.into_inner().unwrap());
    assert!(unpack(&archive, &d.path().join("out")).unwrap().join(&name).is_file());
}

#[test]
fn evil_names_and_links_are_refused_by_name() {
    let d = dir();
    let out = d.path().join("out");
    let file = tar::EntryType::Regular;
    for evil in ["../evil.png", "a/../../evil.png", "/tmp/kidu-evil.png", "..\\evil.png", "C:/evil.png"] {
        let archive = d.path().join("e.zip");
        zip_of(&archive, &[("a/1.png", b"x"), (evil, b"x")]);
        says(unpack(&archive, &out), &["e.zip: refused because of the entry", evil, "nothing was extracted"]);
        nothing_left(&out);
        let archive = put(d.path(), "e.tar.gz", &gz(&tar_bytes(&[("a/1.png", file, b"x"), (evil, file, b"x")])));
        says(unpack(&archive, &out), &["refused because of the entry", evil]);
        nothing_left(&out);
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::Char] {
        let archive = put(d.path(), "l.tar", &tar_bytes(&[("a/evil", kind, b"")]));
        says(unpack(&archive, &out), &["the entry 'a/evil'"]);
        nothing_left(&out);
    }
    let archive = d.path().join("l.zip");
    let mut zip = zip::ZipWriter::new(File::create(&archive).unwrap());
    zip.add_symlink("a/evil.png", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    says(unpack(&archive, &out), &["'a/evil.png', which is a link"]);
    nothing_left(&out);
    let twice = put(d.path(), "t.tar", &tar_bytes(&[("a", file, b"x"), ("./a", file, b"y")]));
    says(unpack(&twice, &out), &["stands twice"]);
    let under = put(d.path(), "u.tar", &tar_bytes(&[("a", file, b"x"), ("a/b", file, b"y")]));
    says(unpack(&under, &out), &["'a/b', which stands twice"]);
    nothing_left(&out);
}

#[test]
fn damaged_archives_leave_nothing() {
    let d = dir();
    let out = d.path().join("out");
    let zip = d.path().join("good.zip");
    zip_of(&zip, &[("a/1.png", &png(1)), ("b/2.png", &png(2))]);
    let tar = tar_bytes(&[("a/1.png", tar::EntryType::Regular, &[7; 5000])]);
    let packed = gz(&tar);
    let mut flipped = fs::read(&zip).unwrap();
    flipped[60] ^= 0xff;
    let mut checksum = packed.clone();
    let end = checksum.len() - 6;
    checksum[end] ^= 0xff;
    let cases: [(&str, &[u8]); 7] = [
        ("text.zip", b"this is not an archive"),
        ("empty.zip", b""),
        ("flipped.zip", &flipped),
        ("text.tgz", b"this is not an archive"),
        ("cut.tar.gz", &packed[..packed.len() / 2]),
        ("sum.tar.gz", &checksum),
        ("cut.tar", &tar[..3000]),
    ];
    for (name, bytes) in cases {
        let archive = put(d.path(), name, bytes);
        says(unpack(&archive, &out), &[name, "is not a whole", "copy or make it again", "nothing was extracted"]);
        nothing_left(&out);
    }
    let hollow = put(d.path(), "hollow.tar", &tar_bytes(&[]));
    says(unpack(&hollow, &out), &["holds no file"]);
}

#[test]
fn bombs_are_refused() {
    let d = dir();
    let out = d.path().join("out");
    let zeros = vec![0u8; 40 << 20];
    let zip = d.path().join("bomb.zip");
    zip_of(&zip, &[("a/1.png", &zeros)]);
    says(unpack(&zip, &out), &["'a/1.png', which unpacks to more than 100 times its size"]);
    nothing_left(&out);
    let tar = tar_bytes(&[("a/1.png", tar::EntryType::Regular, &zeros)]);
    let packed = put(d.path(), "bomb.tgz", &gz(&tar));
    says(unpack(&packed, &out), &["unpacks to more than 100 times its size"]);
    nothing_left(&out);
    // A header that would be read into memory as a whole.
    let name = tar_bytes(&[("././@LongLink", tar::EntryType::GNULongName, &zeros)]);
    says(unpack(&put(d.path(), "name.tgz", &gz(&name)), &out), &["larger than 1 MiB"]);
    nothing_left(&out);

    let plain = put(d.path(), "plain.tar", &tar);
    let small = ArchiveLimits { max_total_bytes: 1000, ..ArchiveLimits::default() };
    says(extract(&plain, &out, &small, &Silent), &["more than 1000 bytes"]);
    let few = ArchiveLimits { max_entries: 1, ..ArchiveLimits::default() };
    let file = tar::EntryType::Regular;
    let two = put(d.path(), "two.tar", &tar_bytes(&[("a", file, b"1"), ("b", file, b"2")]));
    says(extract(&two, &out, &few, &Silent), &["more than 1 entries"]);
    nothing_left(&out);
}

#[test]
fn an_archive_becomes_a_dataset_that_can_be_moved() {
    let d = dir();
    let images: Vec<(String, Vec<u8>)> =
        (0..12).map(|i| (format!("top/{}/{i}.png", if i % 2 == 0 { "sea" } else { "ice" }), png(i))).collect();
    let entries: Vec<(&str, &[u8])> = images.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let archive = d.path().join("a.zip");
    zip_of(&archive, &entries);
    let out = d.path().join("out");
    let prepared = prepare(&settings(&archive), 1, &out, &Silent).unwrap();
    assert_eq!(prepared.manifest.items.len(), 12);
    let moved = d.path().join("moved");
    fs::rename(&out, &moved).unwrap();
    let manifest = kidu_core::DatasetManifest::load(&moved).unwrap();
    assert!(manifest.items.iter().all(|i| manifest.file_of(i).is_file()));
}
