//! Goal: a call of Append that hangs or breaks holds nothing up for good, and loses and repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use sterna_process::{Process, Slot};

use super::{World, config, streams};

/// E11, E33: what a call has not answered in time is put by another one; so it is after the callee died.
#[tokio::test(start_paused = true)]
async fn what_a_call_does_not_answer_is_put_by_another() {
    let mut world = World::new(config());
    let slot = Slot::default();
    slot.fill(world.persistence_by(&world.persistence));
    let _instance = world.start_calling("messaging-0", &slot.link());
    world.produce(&streams(4), 2).await;
    world.settled().await;
    let mut current = world.persistence.clone();
    for hangs in [true, false, true] {
        if hangs {
            current.pause(true)
        } else {
            current.kill()
        }
        world.produce(&streams(4), 2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Whoever hung or died stays so; the place is another's.
        current = Process::new("persistence", 1, Arc::new(world.clock.clone()));
        slot.fill(world.persistence_by(&current));
        world.settled().await;
        world.judge().await;
    }
}
