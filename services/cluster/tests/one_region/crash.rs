//! In paused time. The first kills: any role dies at any moment; what was acked is there, once, in order.

use sterna_cluster::region::Place;
use sterna_protocol::Encoding;
use tokio::time::Duration;

use super::{World, run};

const MESSAGES: usize = 40;

/// E12, E34, G2: `place` crashes `times` times while ana talks; a client that retries what was not acked
/// loses nothing.
fn survives(seed: u64, place: Place, times: usize) {
    run(async move {
        let mut world = World::new(seed);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &[]).await;
        let mut sent = Vec::new();
        for n in 0..MESSAGES {
            let id = world.id();
            ana.publish(&stream, id, "message", &n.to_string(), false).await;
            sent.push(id);
            if n % (MESSAGES / times) == 3 {
                world.region.process(place).unwrap().die_at_poll(seed % 7);
                tokio::time::sleep(Duration::from_millis(30)).await;
                world.region.restart(place);
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        for _ in 0..20 {
            let answered = |p: &super::Person| p.acked.len() + p.refused.len() >= sent.len();
            ana.until("an answer to each", answered).await;
            let open: Vec<usize> = (0..MESSAGES).filter(|&n| !ana.acked.contains(&sent[n])).collect();
            if open.is_empty() {
                break;
            }
            ana.refused.clear();
            for n in open {
                tokio::time::sleep(Duration::from_millis(60)).await;
                ana.publish(&stream, sent[n], "message", &n.to_string(), true).await;
            }
        }
        ana.until("all messages", |p| p.texts(&stream).len() >= MESSAGES).await;
        let mut texts: Vec<usize> = ana.texts(&stream).iter().map(|t| t.parse().unwrap()).collect();
        texts.sort_unstable();
        assert_eq!(texts, (0..MESSAGES).collect::<Vec<_>>(), "each once");
    });
}

/// E12, E34: takeover after a crash at any poll.
#[test]
fn messaging_crashes_and_nothing_acked_is_lost() {
    (0..14).for_each(|seed| survives(100 + seed, Place::Messaging(0), 4));
}

#[test]
fn state_crashes_and_nothing_acked_is_lost() {
    (0..7).for_each(|seed| survives(200 + seed, Place::State(0), 4));
}

#[test]
fn persistence_crashes_and_nothing_acked_is_lost() {
    (0..7).for_each(|seed| survives(300 + seed, Place::Persistence, 4));
}

#[test]
fn notification_crashes_and_nothing_acked_is_lost() {
    (0..7).for_each(|seed| survives(400 + seed, Place::Notification, 4));
}
