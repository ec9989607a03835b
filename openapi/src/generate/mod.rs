mod json_schema;
mod plain;

use openapiv3::OpenAPI;
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle, TypeImpl};
use quote::quote;

use crate::error::Problem;
use crate::prepare::ID_LIST;
use crate::{Error, Prepared};

/// Rust source, generated from a document.
///
/// Both texts are for `include!` into the crate that has `Credentials` (the client's inner type)
/// and `IdList` (comma-joined IDs) at its root, and `progenitor-client`, `reqwest`, `serde`,
/// `serde_json`, `chrono` and `schemars` among its dependencies.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Generated {
    /// The client, its builders and its types. Include it in a module that the crate's root
    /// re-exports.
    pub client: String,
    /// Typed mock helpers, which need `httpmock` and `regex` as dependencies and find the types as
    /// `crate::types`.
    pub httpmock: String,
}

impl Prepared {
    /// Generates Rust source from the document.
    ///
    /// # Errors
    ///
    /// None that is known: what the generator can't do, preparation refuses.
    pub fn generate(&self) -> Result<Generated, Error> {
        generate(self).map_err(|problem| problem.of(&self.name))
    }
}

fn generate(prepared: &Prepared) -> Result<Generated, Problem> {
    let spec: OpenAPI =
        serde_json::from_value(plain::plain(prepared.document())).map_err(refused)?;
    let mut client = Generator::new(&settings())
        .generate_tokens(&spec)
        .map_err(refused)?;
    client.extend(json_schema::impls(prepared.document()));
    let client = without_new(syn::parse2(client).map_err(refused)?);
    let httpmock = Generator::new(&settings())
        .httpmock(&spec, "crate")
        .map_err(refused)?;
    Ok(Generated {
        // The generator's examples name arguments that nobody has: they are text, no tests.
        client: prettyplease::unparse(&client).replace("```ignore", "```text"),
        httpmock: prettyplease::unparse(&syn::parse2(httpmock).map_err(refused)?),
    })
}

/// Leaves out `Client::new`, which makes an HTTP client that follows any redirect, with the token:
/// the SDK has its own.
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

fn settings() -> GenerationSettings {
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Builder)
        .with_inner_type(quote!(crate::Credentials))
        .with_hooks(HooksMode::Expected)
        .with_derive("PartialEq")
        .with_replacement(
            ID_LIST,
            format!("crate::{ID_LIST}"),
            [TypeImpl::Display].into_iter(),
        );
    settings
}

fn refused(error: impl std::fmt::Display) -> Problem {
    Problem::new(format!("can't become code: {error}"))
}
