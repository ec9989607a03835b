//! Values as files that `import` reads.

mod destination;
mod names;
mod table;

pub use destination::Destination;
pub use names::AttributeNames;
pub use table::{Key, Table};
