//! In paused time: how long the first events take to whoever begins to follow in another region, while the
//! news that somebody follows there is itself on its way (E19).
//!
//! Express alone is to bring them, from the moment when it is told of: one way for the news, one for what was
//! read back meanwhile. The mirror may be anywhere in its poll, or stand still.

use super::*;

/// From whom it is said to whom: the regions that are farthest from each other.
const FROM: &str = NAMES[0];
const TO: &str = NAMES[2];
/// Streams, each followed for the first time at another moment of the mirror's poll.
const STREAMS: u32 = 6;
/// Between two events.
const PACE: Duration = Duration::from_millis(20);
/// Events of one stream: before anybody follows it there, while the news is on its way, and after.
const EVENTS: usize = 30;
/// When it is followed, from the first event on: the table there has none of them yet.
const FOLLOWED: Duration = Duration::from_millis(150);
/// What may come on top of the ways themselves: reading the log back, and hand-overs within a region.
const SMALL: Duration = Duration::from_millis(20);

impl World {
    /// Ana's stream, in which cy writes, too; she alone follows it.
    async fn stream_of_two(&mut self, ana: &mut Person) -> StreamId {
        let id = self.id();
        let stream = created::stream("acme", "chat", &"ana".parse().unwrap(), id).unwrap();
        ana.publish(&stream, id, "member", r#"{"user":"ana","add":"owner"}"#, false).await;
        ana.subscribe_when_there(&stream).await;
        let id = self.id();
        ana.publish(&stream, id, "member", r#"{"user":"cy","add":"writer"}"#, false).await;
        stream
    }

    /// The way between the two regions, one way.
    fn way() -> Duration {
        RoundTrips::typical().one_way(&FROM.parse().unwrap(), &TO.parse().unwrap()).unwrap()
    }

    /// Ana talks, and cy begins to follow while she does. When each event was sent, when it was shown to
    /// cy, and when cy asked.
    async fn followed(
        &mut self,
        stream: &StreamId,
        ana: &mut Person,
        cy: &mut Person,
    ) -> (Vec<(Instant, Instant)>, Instant) {
        let ids: Vec<EventId> = (0..EVENTS).map(|_| self.id()).collect();
        let talk = async {
            let mut sent = Vec::new();
            for (n, id) in ids.iter().enumerate() {
                sent.push(Instant::now());
                ana.publish(stream, *id, "message", &n.to_string(), false).await;
                tokio::time::sleep(PACE).await;
            }
            sent
        };
        let listen = async {
            tokio::time::sleep(FOLLOWED).await;
            let asked = Instant::now();
            cy.subscribe(stream).await;
            let mut shown = Vec::new();
            while shown.len() < EVENTS {
                cy.until("the next event", |p| p.texts(stream).len() > shown.len()).await;
                shown.resize(cy.texts(stream).len(), Instant::now());
            }
            (shown, asked)
        };
        let (sent, (shown, asked)) = tokio::join!(talk, listen);
        let said: Vec<String> = (0..EVENTS).map(|n| n.to_string()).collect();
        assert_eq!(cy.texts(stream), said, "each once, in order");
        (sent.into_iter().zip(shown).collect(), asked)
    }
}

/// The longest that an event took beyond its bound: one way once it is sent, two once cy has asked.
async fn beyond(seed: u64, mirrors: bool) -> Duration {
    let mut world = World::new(seed);
    let mut ana = world.person("ana", FROM).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(world.stream_of_two(&mut ana).await);
    }
    // Both regions know the streams and who is in them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut cy = world.person("cy", TO).await;
    let (from, to) = (FROM.parse().unwrap(), TO.parse().unwrap());
    if !mirrors {
        world.regions.between.mirrors[&(from, to)].cut(true);
    }
    let (way, mut longest) = (World::way(), Duration::ZERO);
    for (n, stream) in (0..STREAMS).zip(&streams) {
        tokio::time::sleep(Duration::from_secs(3) + way * n / 2).await;
        let (events, asked) = world.followed(stream, &mut ana, &mut cy).await;
        for (sent, shown) in events {
            assert!(shown >= sent + way, "{:?} is faster than light", shown - sent);
            longest = longest.max(shown.duration_since((sent + way).max(asked + 2 * way)));
        }
    }
    longest
}

/// E19: what is said before the news arrives that somebody follows comes with the answer to it: two ways
/// after the subscription at most, and one way after that, wherever the mirror is in its poll.
#[test]
fn the_first_events_come_two_ways_after_the_subscription() {
    run(async {
        let beyond = beyond(26, true).await;
        assert!(beyond <= SMALL, "{beyond:?} beyond the ways, one is {:?}", World::way());
    });
}

/// E19: and they need no mirror: what the table has not got yet is among what was read back a moment ago.
#[test]
fn the_first_events_need_no_mirror() {
    run(async {
        let beyond = beyond(27, false).await;
        assert!(beyond <= SMALL, "{beyond:?} beyond the ways, one is {:?}", World::way());
    });
}
