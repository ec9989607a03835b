//! Where an export goes: standard output, or a file that is complete or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::{Builder, TempPath};

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
        let (file, target) = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "it is a folder",
                ));
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                (file, Target::Direct)
            }
            // A link to a file stays a link.
            Ok(_) => create(fs::canonicalize(path)?)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path.to_owned())?,
            Err(error) => return Err(error),
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

fn create(path: PathBuf) -> io::Result<(File, Target)> {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = Builder::new();
    builder.prefix(".bigcommerce-attributes-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As of any other new file: the user's umask takes away what others may not do.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let (file, temporary) = builder.tempfile_in(folder)?.into_parts();
    Ok((file, Target::File { temporary, path }))
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
