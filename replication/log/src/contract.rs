//! The suite that every backend of [`crate::Log`] passes. A case is named after the sentence that it shows.
//!
//! A backend's tests make a log with [`topics`], empty, of [`PARTITIONS`] partitions, which takes records of
//! at least [`SMALL_BYTES`] and none above [`LARGE_BYTES`], and run [`all`] or, through
//! [`crate::each_log_case`], one test per case. The suite works in paused and in real time: it waits for
//! conditions, at most [`PATIENCE`] each, which must be several session timeouts, and prints the last state
//! it saw. It ends in concurrency proofs.
//!
//! L5 and what only an operator can cause (a topic made anew, an expired offset) need a backend that can be
//! told to fail; the tests of the memory log and of [`crate::FaultyLog`] show them.

use std::sync::Arc;

use tokio::time::Duration;

use crate::log::Log;
use crate::record::Topic;

pub mod delivery;
pub mod membership;
pub mod produce;
pub mod proofs;
pub mod read;
pub mod space;

mod crew;

pub use crew::until;

/// Partitions of each topic.
pub const PARTITIONS: u16 = 4;
/// A record of this size is taken.
pub const SMALL_BYTES: usize = 16 * 1024;
/// A record of this size is refused.
pub const LARGE_BYTES: usize = 4 * 1024 * 1024;
/// How long a condition is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long something that must not happen is waited for; below every session timeout.
pub const QUIET: Duration = Duration::from_millis(400);

/// The two topics that exist, empty, in each log that a backend makes for the suite.
pub fn topics() -> [Topic; 2] {
    ["contract-one", "contract-two"].map(|name| name.parse().expect("a valid name"))
}

/// Names every case: calls the macro `$callback` with a list of `module::case`.
#[macro_export]
macro_rules! each_log_case {
    ($callback:ident) => {
        $callback! {
            produce::l1_a_record_is_enqueued_by_the_call_and_dropping_withdraws_nothing,
            produce::l1_records_stand_in_call_order_however_their_futures_are_polled,
            produce::l2_an_acknowledged_record_is_readable,
            produce::l3_offsets_rise,
            produce::l4_a_large_record_is_refused_and_disturbs_no_other,
            produce::l6_bytes_come_back_as_they_went,
            produce::l11_what_does_not_exist_is_missing_and_stays_so,
            read::l7_pages_leave_nothing_out,
            read::l7_one_record_is_given_however_small_the_page,
            read::l8_an_offset_beyond_the_end_is_out_of_range,
            read::l9_last_is_the_newest_record,
            read::l10_a_description_keeps_its_identity,
            read::l10_a_description_tells_what_was_committed,
            delivery::c3_an_assignment_carries_what_was_committed,
            delivery::c4_nothing_is_delivered_before_start,
            delivery::c4_only_topics_named_are_delivered_from_the_offset_named,
            delivery::c5_starting_again_goes_back,
            delivery::c6_a_position_outside_the_log_is_told_once,
            delivery::c7_a_pause_neither_loses_nor_repeats,
            delivery::c11_dropping_next_loses_nothing,
            delivery::l12_each_group_is_delivered_everything,
            membership::c1_a_partition_of_all_topics_goes_to_one_member,
            membership::c1_a_live_owner_is_asked_before_its_partition_goes,
            membership::c2_generations_rise,
            membership::c8_a_commit_under_another_generation_is_fenced,
            membership::c8_a_commit_stores_every_topic,
            membership::c8_the_latest_commit_counts,
            membership::c9_a_member_that_must_let_go_may_still_commit,
            membership::c10_a_member_that_stays_away_loses_its_partitions,
            membership::c10_a_member_that_lost_its_session_joins_again,
            membership::c12_dropping_a_consumer_gives_its_partitions_up,
            proofs::concurrent_producers_each_keep_their_order,
            proofs::every_record_is_delivered_in_order_whatever_happens_to_members,
        }
    };
}

macro_rules! run_all {
    ($($module:ident::$case:ident),* $(,)?) => {
        /// Runs every case, each with a log that `make` makes for it.
        pub async fn all<F, M>(make: M)
        where
            M: Fn() -> F,
            F: Future<Output = Arc<dyn Log>>,
        {
            $(
                println!("{}::{}", stringify!($module), stringify!($case));
                $module::$case(make().await).await;
            )*
        }
    };
}

each_log_case!(run_all);
