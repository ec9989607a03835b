//! Generates the bindings from the vendored document, or from the file in `BIGCOMMERCE_OPENAPI`.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use bigcommerce_openapi::Document;

const VARIABLE: &str = "BIGCOMMERCE_OPENAPI";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if let Err(message) = generate() {
        println!("cargo::error={message}");
        process::exit(1);
    }
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
            Document::load(&path)
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
