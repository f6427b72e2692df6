//! Placeholder until the part lands.
#![forbid(unsafe_code)]
