//! The known mistakes, each switched on in turn: a simulation that does not notice one shows nothing.

/// Mistakes that runs can meet, by the names that `sterna_stream::mutant!` knows, each with the number of
/// regions where it is looked for.
pub const MUTANTS: [(&str, usize); 13] = [
    ("two_puts", 1),
    ("replay_without_reproduce", 1),
    ("commit_before_produce", 1),
    ("forget_adopt", 1),
    ("head_from_redis", 1),
    ("ignore_policy", 3),
    ("watermark_over_hole", 3),
    ("dedupe_against_express", 3),
    ("tail_before_interest", 3),
    ("bare_offsets", 3),
    ("push_without_number", 3),
    ("ignore_policy_in_backlog", 3),
    ("ignore_access", 3),
];

/// The variable that chooses one.
pub const CHOSEN: &str = "STERNA_MUTANT";

/// Seeds within which a mistake must be noticed.
pub const SEEDS: u32 = 60;
