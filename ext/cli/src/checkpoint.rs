//! The file that tells how far a run has come.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use crate::replace_file::ReplaceFile;
use crate::status::Failure;

/// The number of rows after which the file is written again. They are sent again after a kill.
const INTERVAL_ROWS: u64 = 1_000;

/// How far a run has come.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    written_rows: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct State {
    version: u32,
    /// The input and the options that say what it means.
    input: String,
    store: String,
    /// The number of rows from the start that need no sending again.
    rows: u64,
    /// The length of the file of rejected rows.
    rejects_length: Option<u64>,
    /// How many of these rows were not stored.
    #[serde(default)]
    not_stored: u64,
}

const VERSION: u32 = 1;
/// More than any checkpoint has.
const MAX_BYTES: u64 = 64 * 1024;

impl Checkpoint {
    /// Reads the file, if there is one. It must be of this input and this store.
    pub fn open(path: &Path, input: String, base_url: &str) -> Result<Self, Failure> {
        let shown = path.display();
        // A URL may contain a password.
        let store = crate::input::hex_digest(base_url.as_bytes());
        let mut state = State {
            version: VERSION,
            input,
            store,
            rows: 0,
            rejects_length: None,
            not_stored: 0,
        };
        match read_start(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = anyhow!(error).context(format!("the checkpoint {shown} can't be read"));
                return Err(Failure::usage(error));
            }
            Ok(bytes) => {
                let read: State = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{shown} is no checkpoint: give another file"))
                    .map_err(Failure::usage)?;
                let mismatch = if read.version != state.version {
                    "another version of the program"
                } else if read.input != state.input {
                    "another input, or of other options for it"
                } else if read.store != state.store {
                    "another store"
                } else {
                    state = read;
                    return Ok(Self::new(path, state));
                };
                return Err(Failure::usage(anyhow!(
                    "the checkpoint {shown} is of {mismatch}: go on with the same files, options and \
                     store, or remove it to start from the first row"
                )));
            }
        }
        let mut checkpoint = Self::new(path, state);
        // A file that can't be written is told before anything is sent.
        checkpoint.write().map_err(Failure::usage)?;
        Ok(checkpoint)
    }

    fn new(path: &Path, state: State) -> Self {
        Self {
            path: path.to_owned(),
            written_rows: state.rows,
            state,
        }
    }

    /// Returns the number of rows from the start that need no sending again.
    pub fn rows(&self) -> u64 {
        self.state.rows
    }

    /// Returns the length that the file of rejected rows had, if the run had one.
    pub fn rejects_length(&self) -> Option<u64> {
        self.state.rejects_length
    }

    /// Returns how many of the rows that need no sending again were not stored.
    pub fn not_stored(&self) -> u64 {
        self.state.not_stored
    }

    /// Returns `true` if so many rows are worth writing the file again.
    pub fn is_due(&self, rows: u64) -> bool {
        rows >= self.written_rows + INTERVAL_ROWS
    }

    /// Writes the file: whoever reads it sees the old contents or the new ones.
    ///
    /// `not_stored` rows are added to those that were not stored.
    pub fn advance(
        &mut self,
        rows: u64,
        rejects_length: Option<u64>,
        not_stored: u64,
    ) -> anyhow::Result<()> {
        self.state.rows = rows;
        self.state.not_stored += not_stored;
        self.state.rejects_length = rejects_length;
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let write = || ReplaceFile::check(&self.path)?.write(&serde_json::to_vec(&self.state)?);
        write()
            .with_context(|| format!("the checkpoint {} can't be written", self.path.display()))?;
        self.written_rows = self.state.rows;
        Ok(())
    }

    /// Removes the file, as the run is complete.
    pub fn remove(self) -> anyhow::Result<()> {
        fs::remove_file(&self.path)
            .with_context(|| format!("the checkpoint {} can't be removed", self.path.display()))
    }
}

/// Reads no more of a file than a checkpoint can have: a device such as /dev/zero never ends.
fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
