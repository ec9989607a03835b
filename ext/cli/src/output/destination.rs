//! Where an export goes: standard output, or a file that is complete or not there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempPath;

use crate::replace_file::ReplaceFile;

/// Where an export goes.
pub struct Destination {
    bytes: Bytes,
    target: Target,
}

enum Bytes {
    Stdout(BufWriter<Stdout>),
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

enum Target {
    /// Standard output, or a device or pipe, which can't be replaced.
    Direct,
    /// A file that takes its name at the end.
    File { temporary: TempPath, path: PathBuf },
}

impl Destination {
    /// Opens a file, compressed if its name ends with `.gz`, or standard output.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                bytes: Bytes::Stdout(BufWriter::new(io::stdout())),
                target: Target::Direct,
            });
        };
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let replaced = ReplaceFile::check(path)?;
        let (file, target) = if replaced.is_special() {
            let file = OpenOptions::new().write(true).open(path)?;
            (file, Target::Direct)
        } else {
            let (file, temporary) = replaced.create()?.into_parts();
            let path = replaced.path().to_owned();
            (file, Target::File { temporary, path })
        };
        let file = BufWriter::new(file);
        let bytes = match is_gzip {
            true => Bytes::Gzip(GzEncoder::new(file, Compression::default())),
            false => Bytes::Plain(file),
        };
        Ok(Self { bytes, target })
    }

    /// Writes what is buffered, and gives the file its name. An incomplete one gets the extension `part`
    /// behind its name, whose path is returned.
    pub fn finish(self, is_complete: bool) -> io::Result<Option<PathBuf>> {
        match self.bytes {
            Bytes::Stdout(mut bytes) => bytes.flush()?,
            Bytes::Plain(mut bytes) => bytes.flush()?,
            Bytes::Gzip(bytes) => bytes.finish()?.flush()?,
        }
        let Target::File { temporary, path } = self.target else {
            return Ok(None);
        };
        if is_complete {
            temporary.persist(path)?;
            return Ok(None);
        }
        let mut part = path.into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        temporary.persist(&part)?;
        Ok(Some(part))
    }
}

impl Write for Destination {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Stdout(bytes) => bytes.write(buffer),
            Bytes::Plain(bytes) => bytes.write(buffer),
            Bytes::Gzip(bytes) => bytes.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.bytes {
            Bytes::Stdout(bytes) => bytes.flush(),
            Bytes::Plain(bytes) => bytes.flush(),
            Bytes::Gzip(bytes) => bytes.flush(),
        }
    }
}
