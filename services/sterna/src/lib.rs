//! The binary's insides: what its commands do, as functions that tests call too.
//!
//! Reading order: [`cli`] (what can be asked for), [`commands`] (the doing of it), [`site`] (a region with
//! its edge, in this process), [`demo`] and its ledger, [`serve`], its [`config`] and [`shards`] (on threads
//! of their own), [`socket`], [`chat`], [`metrics`] and where an [`operator`] asks for them, [`founder`] (how
//! a stream is made), [`stop`] and [`logs`].
//!
//! Placement: the roles run on one thread, a `tokio::runtime::LocalRuntime`, with the first gateway shard;
//! `serve` gives each further shard a thread. Between roles a call is a function call either way, and no
//! socket ever changes its thread.

pub mod chat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod founder;
pub mod handles;
pub mod logs;
pub mod metrics;
pub mod operator;
pub mod program;
pub mod serve;
pub mod shards;
pub mod site;
pub mod socket;
pub mod stop;
pub mod tokens;
