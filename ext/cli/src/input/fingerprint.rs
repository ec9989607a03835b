//! What tells one input from another.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use sha2::{Digest as _, Sha256};

use super::Input;
use super::source::BUFFER_BYTES;
use crate::signals::Stop;
use crate::status::Failure;

impl Input {
    /// Returns a text that is the same for the same bytes and options only, wherever the files are.
    ///
    /// Reads the files once: they must be regular ones.
    pub fn fingerprint(&self, stop: &Stop) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        let options = (
            &self.args.format,
            &self.args.layout,
            &self.args.key,
            &self.args.attributes,
            self.args.delimiter,
            self.empty,
        );
        hash.update(format!("{options:?}"));
        let mut buffer = vec![0; BUFFER_BYTES];
        for file in &self.files {
            let label = &file.source.label;
            let path = file.source.path().filter(|_| file.source.is_regular());
            let path = path.ok_or_else(|| {
                Failure::usage(anyhow!(
                    "{label} can't be read a second time, so --checkpoint has no use for it: write it \
                     to a file first"
                ))
            })?;
            let unreadable = || format!("{label} can't be read");
            let file = File::open(path).with_context(unreadable);
            let mut file = file.map_err(Failure::usage)?;
            let mut size: u64 = 0;
            loop {
                stop.check()?;
                let read = file.read(&mut buffer).with_context(unreadable);
                match read.map_err(Failure::usage)? {
                    0 => break,
                    read => {
                        size += read as u64;
                        hash.update(&buffer[..read]);
                    }
                }
            }
            hash.update(size.to_be_bytes());
        }
        Ok(to_hex(hash))
    }
}

/// Returns the SHA-256 of some bytes.
pub fn hex_digest(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(bytes);
    to_hex(hash)
}

fn to_hex(hash: Sha256) -> String {
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
