//! Where a region keeps what must outlive a process: tables, tails, sessions, blobs, each behind a port.
//!
//! Reading order: [`table`] and [`tails`] and [`sessions`] (the ports and their contracts), [`layout`] (which
//! item stands under which key), [`control`] (incarnations), [`memory`] (the backends of demo,
//! tests and simulation, with global-table replication), `dynamodb` (the real tables, behind a feature),
//! [`faulty`] (decorators that break any of them on purpose), `contract` (the suites that every backend
//! passes).
//!
//! Guarantees nothing that DynamoDB, Redis and S3 cannot do: conditions hold within one region, replication
//! between regions is asynchronous per item and the last writer wins, tails and sessions may be lost at any
//! moment. It moves bytes: what a value means is the caller's, [`control`]'s one small item excepted.

pub mod blobs;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod control;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod error;
pub mod faulty;
pub mod key;
pub mod layout;
pub mod memory;
pub mod sessions;
pub mod table;
pub mod tails;

pub use error::Error;
pub use key::{Key, Name};
pub use sessions::{Session, Sessions};
pub use table::{Consistency, Expect, Item, Order, Page, Put, Range, Table, Token, Write};
pub use tails::{Appended, Tails};
