//! Role services and stored records: generated code, and total conversions to the core's types.
//!
//! [`v1`] is what protox and tonic make of `sterna/v1/*.proto`. [`record`] turns records into bytes and
//! back, [`checkpoint`] checkpoints, [`grant`] reads grants; [`refusal`] carries a refusal through gRPC.
//! Clients' frames are not here: `clients/protocol` owns them.

pub mod checkpoint;
pub mod convert;
mod fields;
pub mod grant;
pub mod record;
pub mod refusal;

/// Generated from `sterna/v1/*.proto`; the documentation stands there.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
pub mod v1 {
    include!("generated/sterna.v1.rs");
}

/// Every role service and record, for reflection and for tests that walk them.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
