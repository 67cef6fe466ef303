//! Waiting until another region has an event (E9, `?durability=global`): in the line in which sessions'
//! publishes wait for their second ack.

use sterna_proto::v1;
use sterna_stream::limits::{DURABILITY_WAIT_MS, GLOBAL_WAITS};
use tokio::time::{Duration, timeout};

use super::Rest;
use crate::second_ack::Place;

/// One of [`GLOBAL_WAITS`]; one more is answered with what is reached without waiting. It leaves the line
/// however the waiting ends.
struct Waiting<'a> {
    rest: &'a Rest,
    place: Place,
}

/// Whether another region has what the region took at `place`, within the time that a request waits.
pub(super) async fn covers(rest: &Rest, place: &v1::Position) -> bool {
    let place = Place::from(place);
    let Some(waiting) = Waiting::take(rest, place) else { return false };
    let asked = rest.second_acks.borrow_mut().asked(place);
    let covered = match asked {
        None => true,
        Some(told) => matches!(timeout(Duration::from_millis(DURABILITY_WAIT_MS), told).await, Ok(Ok(()))),
    };
    drop(waiting);
    covered
}

impl<'a> Waiting<'a> {
    fn take(rest: &'a Rest, place: Place) -> Option<Self> {
        if rest.waits.get() >= GLOBAL_WAITS {
            return None;
        }
        rest.waits.set(rest.waits.get() + 1);
        Some(Self { rest, place })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.rest.waits.set(self.rest.waits.get() - 1);
        self.rest.second_acks.borrow_mut().given_up(self.place);
    }
}
