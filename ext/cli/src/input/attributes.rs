//! The attributes that the input names: found in the store, and created.

use std::collections::BTreeSet;

use anyhow::anyhow;
use bigcommerce_ext::AttributeKey;
use bigcommerce_ext::sdk::types::AttributeType;

use super::args::Layout;
use super::attribute_map::{AttributeMap, ids_by_name};
use super::{Body, Input};
use crate::session::Session;
use crate::signals::Stop;
use crate::status::Failure;

/// A store defines 50 attributes at most.
const MAX_ATTRIBUTES: usize = 1_000;

impl Input {
    /// Finds the attributes that the input names, and creates missing ones where that is allowed: as
    /// text.
    pub async fn resolve(
        &mut self,
        session: &Session,
        creates: bool,
        dry_run: bool,
    ) -> Result<(), Failure> {
        self.resolve_with_types(session, creates, &[], dry_run)
            .await
    }

    /// Finds the attributes that the input names, and creates missing ones where that is allowed: of the
    /// type that stands here for their columns, or else as text.
    pub async fn resolve_with_types(
        &mut self,
        session: &Session,
        creates: bool,
        types: &[(String, AttributeType)],
        dry_run: bool,
    ) -> Result<(), Failure> {
        let has_all_ids = self.files.iter().all(|file| match &file.body {
            Body::Csv(file) if file.header().layout == Layout::Wide => {
                let mut columns = file.header().attribute_columns().iter();
                columns.all(|column| self.map.mapped_id(column).is_some())
            }
            _ => false,
        });
        if has_all_ids {
            return Ok(());
        }
        let listed = session.attributes().list().await?;
        let mut defined: Vec<(String, i64)> = ids_by_name(listed).collect();
        self.map.set_defined(defined.iter().cloned());
        if creates {
            let columns = self.columns("--create-attributes", session.run().stop())?;
            let wanted = missing(&columns, &self.map, types)?;
            if dry_run {
                for (name, kind) in &wanted {
                    eprintln!("The attribute {name:?} would be created ({kind}).");
                }
                // A dry run sends no row, so any IDs will do that are distinct.
                let names = wanted.into_iter().map(|(name, _)| name);
                defined.extend(names.zip((1..=i64::MAX).rev()));
            } else if !wanted.is_empty() {
                defined.extend(ids_by_name(session.attributes().ensure(wanted).await?));
            }
            self.map.set_defined(defined);
        }
        for file in &mut self.files {
            match &mut file.body {
                Body::Csv(file) => file.resolve(&self.map)?,
                Body::Json(file) => file.resolve(&self.map),
            }
        }
        Ok(())
    }

    /// Returns the attributes that the input names: those of the columns, or those that a first pass over
    /// the files finds.
    ///
    /// Standard input can't be read twice, so its attributes must be told by the option `--attributes`
    /// unless they are columns.
    pub fn attributes(&self, stop: &Stop) -> Result<Vec<AttributeKey>, Failure> {
        let mut attributes = Vec::new();
        for column in self.columns("without --attributes", stop)? {
            let attribute = self.map.find(&column);
            let attribute = attribute.map_err(|reason| Failure::usage(anyhow!(reason)))?;
            if !attributes.contains(&attribute) {
                attributes.push(attribute);
            }
        }
        Ok(attributes)
    }

    /// Returns the names by which the input names attributes. Reads files whose lines name them.
    fn columns(&self, option: &str, stop: &Stop) -> Result<BTreeSet<String>, Failure> {
        let mut columns = BTreeSet::new();
        for file in &self.files {
            match &file.body {
                Body::Csv(file) if file.header().layout == Layout::Wide => {
                    let names = file.header().attribute_columns().iter();
                    columns.extend(names.map(|name| name.to_string()));
                    continue;
                }
                Body::Csv(_) | Body::Json(_) => {}
            }
            if !file.source.is_regular() {
                return Err(Failure::usage(anyhow!(
                    "{option}, {label} must be read twice, to find the attributes in its lines: write it \
                     to a file first, or name the attributes in columns",
                    label = file.source.label
                )));
            }
            let mut lines = self.open_file(&file.source, None)?.lines();
            let mut name = |name: &str| {
                if !name.is_empty() && !columns.contains(name) {
                    columns.insert(name.to_owned());
                }
            };
            while let Some(line) = lines.next_attributes(&mut name) {
                line.map_err(|error| Failure::usage(anyhow!(error)))?;
                stop.check()?;
            }
            if columns.len() > MAX_ATTRIBUTES {
                return Err(Failure::usage(anyhow!(
                    "{label} names more than {MAX_ATTRIBUTES} attributes: is another column meant?",
                    label = file.source.label
                )));
            }
        }
        Ok(columns)
    }
}

/// Returns the attributes that are not defined, and their types.
fn missing(
    columns: &BTreeSet<String>,
    map: &AttributeMap,
    types: &[(String, AttributeType)],
) -> Result<Vec<(String, AttributeType)>, Failure> {
    if let Some((column, _)) = types.iter().find(|(column, _)| !columns.contains(column)) {
        return Err(Failure::usage(anyhow!(
            "--type names the column {column:?}, which is not there"
        )));
    }
    let missing = columns.iter().filter(|column| map.find(column).is_err());
    let with_type = |column: &String| {
        let kind = types.iter().find(|(typed, _)| typed == column);
        let kind = kind.map_or(AttributeType::String, |(_, kind)| *kind);
        (map.target(column).to_owned(), kind)
    };
    Ok(missing.map(with_type).collect())
}
