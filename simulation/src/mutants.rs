//! The known mistakes, each switched on in turn: a simulation that does not notice one shows nothing.

/// Mistakes that a run of one region can meet, by the names that `sterna_stream::mutant!` knows.
pub const MUTANTS: [&str; 3] = ["two_puts", "replay_without_reproduce", "commit_before_produce"];

/// Mistakes that no run of one region can meet, and what they wait for.
/// The sequencer's model finds them.
pub const WAITING: [(&str, &str); 2] = [
    ("bare_offsets", "a region that is rebuilt: positions of two incarnations in one chain"),
    ("forget_adopt", "a dead writer's late put between its successor's reading and putting"),
];

/// The variable that chooses one.
pub const CHOSEN: &str = "STERNA_MUTANT";

/// Seeds within which a mistake must be noticed.
pub const SEEDS: u32 = 60;
