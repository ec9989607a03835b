//! The attributes that a store defines.

mod definitions;

use crate::call::{Ended, Run};
use crate::store::Store;

pub use definitions::Definitions;

pub(crate) async fn fetch(_: &Store, _: &Run, _: u64) -> Ended<Definitions> {
    todo!()
}
