//! Second acks over three regions: they follow every publish, whoever follows the stream and however often it
//! was sent (E9). All in paused time.

use super::*;

impl World {
    /// Cuts every mirror between `region` and the others, or heals it.
    fn cut(&self, region: &str, on: bool) {
        let region: Region = region.parse().unwrap();
        for (pair, mirror) in &self.regions.between.mirrors {
            if pair.0 == region || pair.1 == region {
                mirror.cut(on);
            }
        }
    }
}

/// E9: the author follows nothing, nor does anybody else in its region; a repeat that is a proven duplicate
/// gets both acks again, however long ago the event was sequenced.
#[test]
fn a_duplicate_and_a_stream_that_nobody_follows_get_both_acks() {
    run(async {
        let mut world = World::new(61);
        let (stream, [ana, _bo, _cy]) = world.three_people().await;
        drop(ana);
        let mut alone = world.person("ana", NAMES[0]).await;
        let id = world.id();
        for times in 1..=3 {
            alone.publish(&stream, id, "message", r#""again""#, times > 1).await;
            let acked = |p: &Person| p.acked.iter().filter(|acked| **acked == id).count();
            let safe = |p: &Person| p.safe.iter().filter(|safe| **safe == id).count();
            alone.until("both acks", |p| acked(p) == times && safe(p) == times).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!((acked(&alone), safe(&alone)), (times, times), "each once");
        }
        let mut reader = world.person("bo", NAMES[1]).await;
        reader.subscribe_when_there(&stream).await;
        reader.until("the message", |p| !p.texts(&stream).is_empty()).await;
        assert_eq!(reader.texts(&stream).len(), 1, "one event");
    });
}

/// E9: one region that is cut off delays nobody else; the authors in it wait until it is there again.
#[test]
fn a_cut_region_delays_only_its_own_second_acks() {
    run(async {
        let mut world = World::new(62);
        let (stream, [mut ana, _bo, mut cy]) = world.three_people().await;
        world.cut(NAMES[2], true);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (well, cut) = (world.id(), world.id());
        ana.publish(&stream, well, "message", r#""well""#, false).await;
        cy.publish(&stream, cut, "message", r#""cut off""#, false).await;
        let sent = Instant::now();
        ana.until("the second ack", |p| p.safe.contains(&well)).await;
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
        cy.until("the first ack", |p| p.acked.contains(&cut)).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let again = world.id();
        cy.publish(&stream, again, "message", r#""still""#, false).await;
        cy.until("the first ack", |p| p.acked.contains(&again)).await;
        assert!(!cy.safe.contains(&cut), "nobody else has it");
        world.cut(NAMES[2], false);
        cy.until("the second acks", |p| p.safe.contains(&cut) && p.safe.contains(&again)).await;
    });
}
