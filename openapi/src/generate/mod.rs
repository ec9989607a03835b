mod json_schema;
mod lenient;
mod simplify;

use openapiv3::OpenAPI;
use proc_macro2::{LexError, TokenStream};
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle, TypeImpl};

use crate::contract::LISTS;
use crate::error::{Error, Problem};
use crate::prepare::Prepared;

/// Rust source generated from a document.
///
/// A crate includes both files by `include!`. At its root it needs the types `Credentials` (the
/// client's inner type), `IdList` and `TextList` (comma-joined IDs and texts), and the module
/// `lenient` (deserializers of responses), as in `bigcommerce-sdk`. Its dependencies must include
/// `progenitor-client`, `reqwest`, `serde`, `serde_json`, `chrono` and `schemars`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Generated {
    /// The client, its builders and its types. The crate's root must re-export the module that
    /// includes them.
    pub client: String,
    /// Typed mocks. They need the dependencies `httpmock` and `regex`, and the types at
    /// `crate::types`.
    pub httpmock: String,
}

impl Prepared {
    /// Generates Rust source from the document.
    ///
    /// # Errors
    ///
    /// Returns an error if the generator fails, which no prepared document is known to cause.
    pub fn generate(&self) -> Result<Generated, Error> {
        generate(self).map_err(|problem| problem.in_document(&self.name))
    }
}

fn generate(prepared: &Prepared) -> Result<Generated, Problem> {
    let spec: OpenAPI =
        serde_json::from_value(simplify::for_codegen(prepared.document())).map_err(failed)?;
    let settings = settings().map_err(failed)?;
    let mut client = Generator::new(&settings)
        .generate_tokens(&spec)
        .map_err(failed)?;
    client.extend(json_schema::impls(prepared.document()));
    let mut client = without_new(syn::parse2(client).map_err(failed)?);
    lenient::read_leniently(&mut client, prepared.document())?;
    let httpmock = Generator::new(&settings)
        .httpmock(&spec, "crate")
        .map_err(failed)?;
    Ok(Generated {
        // The generator's examples use arguments that don't exist, so they can't be tests.
        client: prettyplease::unparse(&client).replace("```ignore", "```text"),
        httpmock: prettyplease::unparse(&syn::parse2(httpmock).map_err(failed)?),
    })
}

/// Removes `Client::new`, whose HTTP client sends the token to any redirect's target. The SDK has
/// its own.
fn without_new(mut file: syn::File) -> syn::File {
    for item in &mut file.items {
        if let syn::Item::Impl(block) = item
            && block.trait_.is_none()
        {
            block.items.retain(
                |item| !matches!(item, syn::ImplItem::Fn(function) if function.sig.ident == "new"),
            );
        }
    }
    file
}

/// A type of the crate that includes the code.
const CREDENTIALS: &str = "crate::Credentials";

fn settings() -> Result<GenerationSettings, LexError> {
    let credentials: TokenStream = CREDENTIALS.parse()?;
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Builder)
        .with_inner_type(credentials)
        .with_hooks(HooksMode::Expected)
        .with_derive("PartialEq");
    for list in LISTS {
        let own = format!("crate::{list}");
        settings.with_replacement(list, own, [TypeImpl::Display].into_iter());
    }
    Ok(settings)
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::new(format!("code generation failed: {error}"))
}
