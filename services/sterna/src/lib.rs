//! The binary's insides: what its commands do, as functions that tests call too.
//!
//! Reading order: [`cli`] (what can be asked for), [`site`] (a region with its edge, in this process),
//! [`demo`] and its ledger, [`serve`] and its [`config`], [`chat`], [`founder`] (how a stream is made),
//! [`stop`] and [`logs`].
//!
//! Placement: everything runs on one thread, a `tokio::runtime::LocalRuntime`, so that between roles a call
//! is a function call and no socket ever changes its thread.

pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
pub mod founder;
pub mod logs;
pub mod serve;
pub mod site;
pub mod stop;
pub mod tokens;
