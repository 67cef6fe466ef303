//! Waiting for the access streams of tenants, of which each is read by itself.

use super::*;

/// E24: where one tenant's access stream cannot be read, what rests on it waits, and nothing else.
#[tokio::test(start_paused = true)]
async fn an_access_stream_that_cannot_be_read_holds_up_its_own_tenant_alone() {
    let mut world = World::new();
    let instance = world.start();
    let mut shards = Vec::new();
    for tenant in ["acme", "zeta"] {
        let event = Chain::in_stream(EU, &format!("{tenant}/access/main")).member();
        let damaged = (tenant == "acme").then(|| Bytes::from_static(b"no segment"));
        world.put(&event, damaged.unwrap_or(event.bytes.clone())).await;
        let mut shard = world.shard(&instance, &format!("{tenant}/chat/a")).await;
        shard.told(1).await;
        shards.push(shard);
    }
    for tenant in ["acme", "zeta"] {
        let mut segment = Chain::in_stream(EU, &format!("{tenant}/chat/a")).next().segment;
        segment.policy.access = "eu-west-1:1".parse().unwrap();
        world.mirrored(&Stored::new(segment)).await;
    }
    assert_eq!(shards[1].told_within(Duration::from_secs(3)).await, ["recheck eu-west-1:1"]);
    assert_eq!(shards[0].told_within(Duration::from_secs(3)).await, [""; 0]);
}
