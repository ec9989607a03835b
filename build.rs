//! Generates the bindings from the vendored document, or from the file in `BIGCOMMERCE_OPENAPI`.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use bigcommerce_openapi::{Document, MAX_SIZE_VARIABLE};

const VARIABLE: &str = "BIGCOMMERCE_OPENAPI";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-env-changed={MAX_SIZE_VARIABLE}");
    if let Err(message) = generate() {
        println!("cargo::error={message}");
        process::exit(1);
    }
}

fn max_size() -> Result<u64, String> {
    let Some(size) = env::var_os(MAX_SIZE_VARIABLE) else {
        return Ok(Document::MAX_LEN);
    };
    let size = size.to_str().and_then(|size| size.parse().ok());
    size.ok_or_else(|| format!("{MAX_SIZE_VARIABLE} is not a number of bytes"))
}

fn generate() -> Result<(), String> {
    let document = match env::var_os(VARIABLE) {
        None => Document::vendored(),
        Some(path) => {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(format!(
                    "{VARIABLE} is the relative path {path:?}; give an absolute path, or set it in \
                     .cargo/config.toml as {{ value = \"…\", relative = true }}"
                ));
            }
            println!("cargo::rerun-if-changed={}", path.display());
            Document::load_up_to(&path, max_size()?)
        }
    };
    let generated = document
        .and_then(Document::prepare)
        .and_then(|prepared| prepared.generate())
        .map_err(|error| error.to_string())?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    for (name, source) in [
        ("client.rs", generated.client),
        ("httpmock.rs", generated.httpmock),
    ] {
        let path = Path::new(&out).join(name);
        fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
