//! Files that are written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A file that is to be written.
#[derive(Debug)]
pub struct ReplaceFile {
    /// The path, with links followed: a link is not replaced by a file.
    path: PathBuf,
    /// A device or a pipe can't be replaced, and is written to directly.
    is_special: bool,
}

impl ReplaceFile {
    /// Checks that the file can be written, before there is anything to write.
    pub fn check(path: &Path) -> io::Result<Self> {
        let file = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "it is a directory",
                ));
            }
            Ok(metadata) => Self {
                path: fs::canonicalize(path)?,
                is_special: !metadata.is_file(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self {
                path: path.to_owned(),
                is_special: false,
            },
            Err(error) => return Err(error),
        };
        if file.is_special {
            OpenOptions::new().write(true).open(&file.path)?;
        } else {
            file.create()?;
        }
        Ok(file)
    }

    /// Replaces the file's contents. Whoever reads the file sees the old contents or the new ones.
    pub fn write(&self, contents: &[u8]) -> io::Result<()> {
        if self.is_special {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            return file.write_all(contents);
        }
        let mut file = self.create()?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        let _: File = file.persist(&self.path)?;
        Ok(())
    }

    /// Returns the path, with links followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `true` if the file is a device or a pipe, which can't be replaced.
    pub fn is_special(&self) -> bool {
        self.is_special
    }

    /// Creates a file beside the path, which is removed when it is dropped.
    pub fn create(&self) -> io::Result<NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = Builder::new();
        let builder = builder.prefix(".bigcommerce-attributes-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As of any other new file: the user's umask takes away what others may not do.
            let permissions = fs::Permissions::from_mode(0o666);
            builder.permissions(permissions).tempfile_in(folder)
        }
        #[cfg(not(unix))]
        builder.tempfile_in(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.to_string_lossy().into()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        let file = ReplaceFile::check(&path).expect("a new file");
        assert!(names(folder.path()).is_empty(), "the check leaves a file");
        for contents in ["longer", "short"] {
            file.write(contents.as_bytes()).expect("a written file");
            assert_eq!(fs::read_to_string(&path).expect("the file"), contents);
        }
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        ReplaceFile::check(folder.path()).expect_err("a directory");
        ReplaceFile::check(&folder.path().join("missing/report.json")).expect_err("no folder");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").expect("a file");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        let file = ReplaceFile::check(&link).expect("a link to a file");
        file.write(b"new").expect("a written file");
        assert_eq!(fs::read_to_string(&target).expect("the target"), "new");
        assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
        let device = ReplaceFile::check(Path::new("/dev/null")).expect("a device");
        device.write(b"text").expect("a written device");
    }
}
