//! Deliberate faults, one per name, that the model tests and the simulation must find.
//!
//! In every ordinary build [`mutant!`](crate::mutant!) is the constant `false` and leaves no trace. Built
//! with `--cfg sterna_mutants` it is true for the one name in the environment variable `STERNA_MUTANT`, so
//! that a single extra build runs all of them.

/// Whether the fault of this name is switched on: `if mutant!("two_puts") { … }`.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutant::chosen($name)
    };
}

/// What [`mutant!`](crate::mutant!) asks.
#[cfg(not(sterna_mutants))]
#[inline(always)]
pub const fn chosen(_name: &str) -> bool {
    false
}

/// What [`mutant!`](crate::mutant!) asks. The environment is read once.
#[cfg(sterna_mutants)]
pub fn chosen(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("STERNA_MUTANT").ok()).as_deref() == Some(name)
}
