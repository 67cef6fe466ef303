//! In paused time: what provisioning promises to whoever calls it, in one region whose plan names no tenant.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use sterna_process::{ManualClock, paused as run};
use sterna_proto::record::{Body, Stored};
use sterna_storage::{Name, Table};
use tokio::io::DuplexStream;

use super::*;
use crate::region::Place;
use crate::{MemoryStores, Plan, Region};

const NOW: u64 = 1_795_214_400_000;

struct World {
    stores: MemoryStores,
    region: Region<DuplexStream>,
}

impl World {
    fn new(seed: u64) -> Self {
        let plan = Plan::small("us-east-1".parse().unwrap(), seed);
        let stores = MemoryStores::new(&plan);
        let region = Region::start(plan, stores.stores(), Arc::new(ManualClock::new(NOW)));
        Self { stores, region }
    }

    /// A new one, which has seen nothing.
    fn provisioner(&self) -> Provisioner {
        let process = self.region.process(Place::Gateway(0)).unwrap().clone();
        self.region.provisioner(&process, Place::Gateway(0))
    }

    /// Every event of the region's table: its stream, author and payload.
    async fn events(&self) -> Vec<(String, String, String)> {
        let page = self.stores.table.scan(Name::Events, None).await.unwrap();
        assert!(page.next.is_none(), "one page");
        let segments = page.items.into_iter().map(|item| Stored::decode(item.value).unwrap().segment);
        let events = segments.flat_map(|segment| {
            let stream = segment.stream.to_string();
            let bodies = segment.bodies.into_iter().map(|body| Body::decode(&body).unwrap());
            bodies.map(|body| (stream.clone(), body.author.to_string(), text(&body))).collect::<Vec<_>>()
        });
        events.collect()
    }
}

fn text(body: &Body) -> String {
    String::from_utf8(body.payload.to_vec()).unwrap()
}

fn tenant(name: &str, owner: &str) -> Tenant {
    Tenant::new(name, owner).unwrap()
}

/// The founding of a tenant.
fn founding(name: &str, owner: &str) -> (String, String, String) {
    let payload = format!(r#"{{"user":"{owner}","add":"owner"}}"#);
    (format!("{name}/access/main"), fixed::PROVISIONER.to_owned(), payload)
}

/// E3: whoever is answered finds the fixed stream in this region's table, with the owner in it and nothing
/// else.
#[test]
fn whoever_is_answered_finds_the_founding() {
    run(async {
        let world = World::new(1);
        assert_eq!(world.provisioner().provision(&tenant("acme", "ops")).await.unwrap().as_str(), "ops");
        assert_eq!(world.events().await, [founding("acme", "ops")]);
    });
}

/// E3: again, by another start of the region, nothing is founded; and who was told another owner is answered
/// who it is.
#[test]
fn a_tenant_is_founded_once_and_keeps_its_owner() {
    run(async {
        let world = World::new(2);
        let first = world.provisioner();
        for owner in ["ops", "ops", "boss"] {
            assert_eq!(first.provision(&tenant("acme", owner)).await.unwrap().as_str(), "ops", "{owner}");
            let again = world.provisioner().provision(&tenant("acme", owner)).await;
            assert_eq!(again.unwrap().as_str(), "ops", "{owner}, by another start");
            // A founding a second later would have another id, and be no duplicate.
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(world.events().await, [founding("acme", "ops")]);
    });
}

/// E3: all tenants are provisioned, each with its own owner, however late messaging answers.
#[test]
fn every_tenant_is_provisioned_though_messaging_comes_late() {
    run(async {
        let mut world = World::new(3);
        let messaging: Vec<Place> =
            world.region.places().filter(|place| matches!(place, Place::Messaging(_))).collect();
        messaging.iter().for_each(|place| world.region.kill(*place));
        let tenants = vec![tenant("acme", "ops"), tenant("other", "bo")];
        let refused = world.provisioner().provision(&tenants[0]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Unavailable);
        let all = world.provisioner().all(tenants);
        let revive = async {
            sleep(Duration::from_secs(30)).await;
            assert_eq!(world.stores.table.scan(Name::Events, None).await.unwrap().items, []);
            messaging.iter().for_each(|place| world.region.restart(*place));
        };
        futures_util::future::join(all, revive).await;
        let mut events = world.events().await;
        events.sort();
        events.dedup();
        assert_eq!(events, [founding("acme", "ops"), founding("other", "bo")]);
    });
}

/// E3: a tenant has a name that streams may have, and an owner whom tokens name.
#[test]
fn what_is_no_tenant_is_refused_before_anything_is_made() {
    for (name, owner, problem) in [
        ("system", "ops", "\"system\" is no tenant's name"),
        ("No Tenant", "ops", "\"No Tenant\" is no tenant's name"),
        ("", "ops", "\"\" is no tenant's name"),
        (&"a".repeat(65), "ops", "aaa\" is no tenant's name: 1 to 64 of"),
        ("acme", "", "\"\" owns no tenant"),
        ("acme", fixed::PROVISIONER, "owns no tenant"),
    ] {
        let refused = Tenant::new(name, owner).unwrap_err();
        assert!(refused.contains(problem), "{name:?} {owner:?}: {refused}");
    }
    assert!(Tenant::new(&"a".repeat(64), "ops").is_ok());
}
