//! The bytes of a file: decompressed, without a byte-order mark, and counted.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use flate2::bufread::MultiGzDecoder;

use super::progress::InputProgress;
use crate::status::Failure;

pub const BUFFER_BYTES: usize = 64 * 1024;
/// The longest line. An unclosed quote would otherwise read the rest of the file into memory.
pub const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

const GZIP: &[u8] = &[0x1f, 0x8b];
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

pub type Bytes = Box<dyn BufRead + Send>;

/// A file to read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's name as it is shown.
    pub label: Arc<str>,
    /// `None` for standard input.
    path: Option<PathBuf>,
    /// The size of a regular file.
    pub size: Option<u64>,
    /// The size and the time of change that a regular file had when it was first opened.
    stamp: Arc<OnceLock<Stamp>>,
}

type Stamp = (u64, Option<SystemTime>);

/// What is to be done before the file is read on, which may take long.
#[derive(Clone, Default)]
pub struct BeforeRead(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl BeforeRead {
    /// Sets what is to be done, once.
    pub fn set(&self, act: impl Fn() + Send + Sync + 'static) {
        // It is set by the one who reads.
        drop(self.0.set(Box::new(act)));
    }
}

/// The length of the line that is being read.
#[derive(Clone, Debug, Default)]
pub struct LineLength(Arc<AtomicU64>);

impl LineLength {
    pub fn start_line(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Source {
    pub fn new(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self {
                label: "standard input".into(),
                path: None,
                size: None,
                stamp: Arc::default(),
            });
        }
        let label = path.display().to_string();
        let metadata = std::fs::metadata(path)
            .with_context(|| format!("{label} can't be read"))
            .map_err(Failure::usage)?;
        if metadata.is_dir() {
            return Err(Failure::usage(anyhow!(
                "{label} can't be read: it is a folder"
            )));
        }
        Ok(Self {
            label: label.into(),
            path: Some(path.to_owned()),
            size: metadata.is_file().then_some(metadata.len()),
            stamp: Arc::default(),
        })
    }

    /// Returns `true` if the file can be read a second time.
    pub fn is_regular(&self) -> bool {
        self.size.is_some()
    }

    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn raw(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.path {
            Some(path) => {
                let file = File::open(path)?;
                match self.is_regular() {
                    true => {
                        let now = stamp(&file)?;
                        let expected = *self.stamp.get_or_init(|| now);
                        Box::new(Unchanging { file, expected })
                    }
                    false => Box::new(file),
                }
            }
            None => Box::new(io::stdin()),
        })
    }

    /// Opens the file, and checks how it is encoded.
    pub fn open(
        &self,
        progress: Option<&InputProgress>,
        before_read: &BeforeRead,
        line_length: &LineLength,
    ) -> Result<Bytes, Failure> {
        let unreadable = |error: io::Error| {
            Failure::usage(anyhow!(error).context(format!("{} can't be read", self.label)))
        };
        let counted = Counted {
            bytes: self.raw().map_err(unreadable)?,
            progress: progress.cloned(),
            before_read: before_read.clone(),
        };
        let bytes = Box::new(BufReader::with_capacity(BUFFER_BYTES, counted));
        let (head, mut bytes) = peek(bytes).map_err(unreadable)?;
        let mut head = head;
        if head.starts_with(GZIP) {
            let decoder = MultiGzDecoder::new(bytes);
            let plain = Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder));
            (head, bytes) = peek(plain).map_err(unreadable)?;
        }
        self.check_encoding(&head)?;
        if head.starts_with(UTF8_MARK) {
            bytes.consume(UTF8_MARK.len());
        }
        Ok(Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            Limited {
                bytes,
                line_length: line_length.clone(),
            },
        )))
    }

    fn check_encoding(&self, head: &[u8]) -> Result<(), Failure> {
        let encoding = match head {
            [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] => "UTF-32",
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
            [0, ..] => "UTF-16BE",
            [_, 0, ..] => "UTF-16LE",
            _ => return Ok(()),
        };
        Err(Failure::usage(anyhow!(
            "{label}:1: the text is {encoding}, not UTF-8; convert it: iconv -f {encoding} -t UTF-8 \
             FILE > NEW_FILE",
            label = self.label
        )))
    }
}

/// Returns the first bytes, four if there are as many, without taking them away.
fn peek(mut bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    bytes.by_ref().take(4).read_to_end(&mut head)?;
    let whole: Bytes = Box::new(Cursor::new(head.clone()).chain(bytes));
    Ok((head, whole))
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// A regular file. Its end is an error if it has changed since it was first opened: what was read may be a
/// part only, or of two versions.
struct Unchanging {
    file: File,
    expected: Stamp,
}

impl Read for Unchanging {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() && stamp(&self.file)? != self.expected {
            return Err(io::Error::other(
                "it was changed while it was read: run the command again when its writer is done",
            ));
        }
        Ok(read)
    }
}

struct Counted<R> {
    bytes: R,
    progress: Option<InputProgress>,
    before_read: BeforeRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(act) = self.before_read.0.get() {
            act();
        }
        let read = self.bytes.read(buffer)?;
        if let Some(progress) = &self.progress {
            progress.add_bytes(read);
        }
        Ok(read)
    }
}

/// Fails where a line gets too long.
struct Limited {
    bytes: Bytes,
    line_length: LineLength,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        let before = self.line_length.0.fetch_add(read as u64, Ordering::Relaxed);
        if before > MAX_LINE_BYTES {
            return Err(io::Error::other(
                "it is longer than 16 MiB: is a quote not closed?",
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Reads a file that is changed after its first bytes.
    fn read_changed(change: impl Fn(&mut File)) -> io::Result<usize> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&vec![b'a'; 4 * BUFFER_BYTES])
            .expect("bytes");
        let source = Source::new(file.path()).expect("a source");
        let length = LineLength::default();
        let bytes = source.open(None, &BeforeRead::default(), &length);
        let mut bytes = bytes.expect("an open file");
        bytes.read_exact(&mut [0; 8]).expect("the first bytes");
        change(file.as_file_mut());
        bytes.read_to_end(&mut Vec::new())
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_does_not_end_well() {
        read_changed(|_| {}).expect("the file");
        for change in [
            |file: &mut File| file.set_len(2 * BUFFER_BYTES as u64).expect("shorter"),
            |file: &mut File| file.write_all(b"more").expect("longer"),
        ] {
            let error = read_changed(change).expect_err("a change");
            assert!(
                error.to_string().contains("changed while it was read"),
                "{error}"
            );
        }
    }
}
