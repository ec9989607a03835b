//! Rows from files.
