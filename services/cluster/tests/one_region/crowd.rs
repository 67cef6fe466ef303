//! In paused time: more streams on a shard than the queue of state for it holds.

use super::*;

/// E15, E16: deliveries go on through several comparisons of heads, and no shard is cut off over them.
#[test]
fn deliveries_go_on_though_a_shard_follows_more_streams_than_its_queue_holds() {
    run(async {
        let mut plan = Plan::small("us-east-1".parse().unwrap(), 7);
        plan.push_queue = 32;
        let mut world = World::of(plan);
        let mut ana = world.person("ana", Encoding::Json).await;
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(world.create(&mut ana, &[]).await);
        }
        for minute in 0..3 {
            tokio::time::sleep(Duration::from_secs(35)).await;
            let text = format!("{minute}");
            for stream in &streams {
                let id = world.id();
                ana.publish(stream, id, "message", &text, false).await;
                let came = |p: &Person| p.texts(stream).last() == Some(&text);
                ana.until("the message", came).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
}
