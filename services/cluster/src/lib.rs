//! The builder of regions: demo, tests, simulation, benchmarks and `serve` all put a region together here.
//!
//! A [`Plan`] says what a region consists of, [`Stores`] where it keeps what must outlive its processes.
//! [`Region`] starts every role as a process of its own, links them, and can kill and restart any of them by
//! name; what a restarted role knows it knows from the stores. Reading order: [`plan`], [`stores`], [`real`],
//! [`region`] and its [`shard`]s, [`provision`] (tenants' fixed streams), [`between`] (mirrors and table
//! replication, and the [`wan`] that calls go over), [`regions`]; [`rebuild`] is how a region that lost its
//! stores goes on.
//!
//! Runs inside a `tokio::runtime::LocalRuntime`: shards live on the thread that starts them, which may be
//! another one.

pub mod between;
mod compare;
pub mod figures;
pub mod plan;
pub mod provision;
pub mod real;
pub mod rebuild;
pub mod region;
pub mod regions;
pub mod shard;
pub mod stores;
pub mod wan;

pub use between::Between;
pub use plan::{Plan, Secrets};
pub use provision::{Provisioner, Tenant};
pub use region::Region;
pub use regions::Regions;
pub use sterna_state::wall::Wall;
pub use stores::{MemoryStores, Neighbours, Stores};
