//! Lenient deserializers for the types of responses. The types of requests stay strict.

use std::collections::BTreeSet;

use proc_macro2::Ident;
use quote::{ToTokens, format_ident, quote};
use serde_json::Value;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, Field, File, Item, ItemImpl, ItemStruct, Path, Stmt, Token, Type, parse_quote,
};

use super::failed;
use crate::contract::{OPERATIONS, RECORDS, Record};
use crate::error::Problem;

/// The module of the deserializers, in the crate that includes the code.
const LENIENT: &str = "crate::lenient";

/// The field with a page's records.
const DATA: &str = "data";
/// The added field with the number of records that `data` lacks.
const UNREADABLE: &str = "unreadable";

/// Makes the types of responses skip what has an unexpected form: an optional field becomes `None`,
/// and a record without its essential fields is left out of its page, which counts it.
///
/// Derived deserializers fail the whole response, so that one odd record costs all of a page.
pub(super) fn read_leniently(file: &mut File, document: &Value) -> Result<(), Problem> {
    let responses = response_types(document);
    let types = module(&mut file.items, "types")?;
    let mut deserializers = Vec::new();
    for item in types.iter_mut() {
        if let Item::Struct(item) = item
            && responses.contains(&item.ident.to_string())
        {
            for field in &mut item.fields {
                read_field_leniently(field, &responses);
            }
            if RECORDS.into_iter().any(|record| item.ident == record.page) {
                deserializers.push(count_unreadable(item)?);
            }
        }
    }
    types.extend(deserializers);
    let builders = module(types, "builder")?;
    for record in RECORDS {
        build_with_count(builders, record)?;
    }
    Ok(())
}

fn module<'a>(items: &'a mut [Item], name: &str) -> Result<&'a mut Vec<Item>, Problem> {
    items
        .iter_mut()
        .find_map(|item| match item {
            Item::Mod(module) if module.ident == name => Some(&mut module.content.as_mut()?.1),
            _ => None,
        })
        .ok_or_else(|| failed(format!("there is no module {name}")))
}

/// Returns the names of the components that responses refer to, directly or not.
fn response_types(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operation in &OPERATIONS {
        let responses = document["paths"][operation.path][operation.method].get("responses");
        add_references(document, responses.unwrap_or(&Value::Null), &mut found);
    }
    found
}

fn add_references(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref")
                && let Some(name) = reference.strip_prefix("#/components/schemas/")
                && found.insert(name.to_owned())
            {
                add_references(document, &document["components"]["schemas"][name], found);
            }
            map.values()
                .for_each(|value| add_references(document, value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| add_references(document, item, found)),
        _ => (),
    }
}

fn read_field_leniently(field: &mut Field, responses: &BTreeSet<String>) {
    let kind = &field.ty;
    let kind = quote!(#kind).to_string().replace(' ', "");
    let inner = kind.strip_prefix("::std::option::Option<");
    let function = match (
        inner.and_then(|inner| inner.strip_suffix('>')),
        kind.as_str(),
    ) {
        (Some("i64"), _) => "optional_integer",
        (Some("::std::vec::Vec<i64>"), _) => "optional_integers",
        (Some(inner), _) if responses.contains(inner) => "optional_object",
        (Some(_), _) => "optional",
        (None, "i64") => "integer",
        (None, _) => return,
    };
    let function = format!("{LENIENT}::{function}");
    field.attrs.push(if inner.is_some() {
        parse_quote!(#[serde(default, deserialize_with = #function)])
    } else {
        parse_quote!(#[serde(deserialize_with = #function)])
    });
}

/// Adds the count to a page, and returns its `Deserialize`, which replaces the derived one.
fn count_unreadable(page: &mut ItemStruct) -> Result<Item, Problem> {
    let (count, data) = (format_ident!("{UNREADABLE}"), format_ident!("{DATA}"));
    let lenient: Path = syn::parse_str(LENIENT).map_err(failed)?;
    let mut read = page.fields.clone();
    for field in &mut read {
        field
            .attrs
            .retain(|attribute| attribute.path().is_ident("serde"));
        if field.ident.as_ref() == Some(&data) {
            let record = item_type(&field.ty)?;
            field.ty = parse_quote!(#lenient::Records<#record>);
        }
    }
    let others: Vec<Ident> = read
        .iter()
        .filter_map(|field| field.ident.clone())
        .collect();
    if others.contains(&count) {
        return Err(failed(format!(
            "the response field \"{UNREADABLE}\" has the name of a field that the SDK adds"
        )));
    }
    let others = others.iter().filter(|name| **name != data);
    let (ident, read_ident) = (&page.ident, format_ident!("{}Body", page.ident));
    let assignments = others.map(|name| quote!(#name: body.#name));
    let implementation = parse_quote! {
        const _: () = {
            #[derive(::serde::Deserialize)]
            struct #read_ident #read

            impl<'de> ::serde::Deserialize<'de> for #ident {
                fn deserialize<D>(deserializer: D) -> ::std::result::Result<Self, D::Error>
                where
                    D: ::serde::Deserializer<'de>,
                {
                    let body: #read_ident = #lenient::object(deserializer)?;
                    Ok(Self {
                        #data: body.#data.readable,
                        #count: body.#data.unreadable,
                        #(#assignments,)*
                    })
                }
            }
        };
    };
    page.attrs = page
        .attrs
        .iter()
        .map(without_deserialize)
        .collect::<Result<_, _>>()?;
    if let syn::Fields::Named(fields) = &mut page.fields {
        fields.named.push(parse_quote! {
            /// Number of records that `data` lacks, because they came without their essential
            /// fields. It is not part of the JSON.
            #[serde(skip_serializing)]
            pub #count: u64
        });
    }
    Ok(implementation)
}

/// Returns the type of a list's items.
fn item_type(list: &Type) -> Result<Type, Problem> {
    let item = || {
        let Type::Path(path) = list else { return None };
        match &path.path.segments.last()?.arguments {
            syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first()? {
                syn::GenericArgument::Type(item) => Some(item.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    item().ok_or_else(|| failed(format!("the field {DATA} is no list")))
}

fn without_deserialize(attribute: &Attribute) -> Result<Attribute, Problem> {
    if !attribute.path().is_ident("derive") {
        return Ok(attribute.clone());
    }
    let derives = attribute
        .parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
        .map_err(failed)?;
    let is_other = |path: &&Path| {
        path.segments
            .last()
            .is_none_or(|s| s.ident != "Deserialize")
    };
    let others = derives.iter().filter(is_other);
    Ok(parse_quote!(#[derive(#(#others),*)]))
}

/// Makes the builder of a page set the count to 0.
fn build_with_count(builders: &mut [Item], record: &Record) -> Result<(), Problem> {
    let page = format_ident!("{}", record.page);
    let built: Type = parse_quote!(super::#page);
    let built = built.to_token_stream().to_string();
    let literal = builders.iter_mut().find_map(|item| match item {
        Item::Impl(item) if item.self_ty.to_token_stream().to_string() == built => {
            struct_literal(item)
        }
        _ => None,
    });
    let count = format_ident!("{UNREADABLE}");
    literal
        .ok_or_else(|| failed(format!("there is no builder of {page}")))?
        .fields
        .push(parse_quote!(#count: 0));
    Ok(())
}

/// Returns the literal in a builder's `try_from`, whose body is `Ok(Self { … })`.
fn struct_literal(builder: &mut ItemImpl) -> Option<&mut syn::ExprStruct> {
    let function = builder.items.iter_mut().find_map(|item| match item {
        syn::ImplItem::Fn(function) if function.sig.ident == "try_from" => Some(function),
        _ => None,
    })?;
    match function.block.stmts.last_mut()? {
        Stmt::Expr(Expr::Call(call), _) => match call.args.first_mut()? {
            Expr::Struct(literal) => Some(literal),
            _ => None,
        },
        _ => None,
    }
}
