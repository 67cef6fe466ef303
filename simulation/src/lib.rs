//! The simulation: one to three whole regions, their people and their disasters in one thread, from one seed.
//!
//! [`run::seed`] draws a [`setting`], starts regions from the product's own builder over memory stores, lets
//! [`person`]s and [`hostile`] clients talk through sockets in memory and go from region to region while
//! [`faults`] happen, heals everything, waits until nothing moves any more, and [`judge`]s what is left.
//! Time is paused tokio time, so a minute takes less than two seconds; the same seed gives the same
//! [`trace`], line by line.
//!
//! Reading order: [`run`], [`setting`], [`world`], [`site`] (one region), [`script`], [`person`], [`faults`],
//! [`witness`] (what is seen between roles and stores, without asking the roles), [`judge`], [`paths`].
//!
//! It knows nothing of how roles do their work: it sees sockets, stores, and who is alive.

pub mod ambush;
pub mod dice;
pub mod faults;
pub mod hostile;
pub mod judge;
pub mod logs;
pub mod mutants;
pub mod overtaken;
pub mod paths;
pub mod person;
pub mod pushes;
pub mod run;
pub mod script;
pub mod setting;
pub mod site;
pub mod trace;
pub mod witness;
pub mod world;
