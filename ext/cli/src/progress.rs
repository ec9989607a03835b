//! Stub.
pub struct Reading {
    pub rows: u64,
    pub bytes: u64,
    pub total_bytes: Option<u64>,
}
