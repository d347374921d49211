//! Tar archives, plain or compressed with gzip.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::sink::Sink;
use crate::error::{DataError, Result};

/// What may be read between the content of one entry and that of the next: headers, long names, extensions. The
/// reader of the format holds all of it in memory.
const HEADER_BUDGET: u64 = 1 << 20;

pub(super) fn extract(archive: &Path, compressed: bool, sink: &mut Sink<'_>) -> Result<()> {
    let file = BufReader::new(File::open(archive).map_err(|e| DataError::io("read", archive, e))?);
    if compressed { read(MultiGzDecoder::new(file), sink) } else { read(file, sink) }
}

fn read(source: impl Read, sink: &mut Sink<'_>) -> Result<()> {
    sink.begin(None);
    let budget = Rc::new(Cell::new(HEADER_BUDGET));
    let mut tar = Archive::new(Budgeted { source, left: Rc::clone(&budget) });
    let mut entries = tar.entries().map_err(|e| sink.damaged(&e))?;
    loop {
        budget.set(HEADER_BUDGET);
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(|e| sink.damaged(&e))?;
        sink.count()?;
        let raw = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&raw).into_owned();
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => {}
            _ if String::from_utf8(raw).is_err() => return Err(sink.entry_error(&name, "has a path that is not UTF-8")),
            EntryType::Directory => sink.folder(&name)?,
            EntryType::Regular | EntryType::Continuous => {
                // The sink bounds the content.
                budget.set(u64::MAX);
                let size = entry.size();
                let mut content = entry.take(size);
                sink.file(&name, None, &mut content)?;
                if content.limit() > 0 {
                    return Err(sink.damaged(&format!("it ends in the middle of '{name}'")));
                }
            }
            EntryType::Symlink | EntryType::Link => return Err(sink.entry_error(&name, "is a link")),
            _ => return Err(sink.entry_error(&name, "is not a plain file or folder")),
        }
    }
    // The checksum of gzip stands at the very end, after the padding of tar.
    budget.set(HEADER_BUDGET);
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|e| sink.damaged(&e))?;
    Ok(())
}

/// A reader that fails when its budget is used up.
struct Budgeted<R> {
    source: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)? as u64;
        let Some(left) = self.left.get().checked_sub(n) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a header or the end padding is larger than 1 MiB"));
        };
        self.left.set(left);
        Ok(n as usize)
    }
}
