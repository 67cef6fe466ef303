//! In paused time. A gateway is replaced under traffic: devices with the client library go from one shard of
//! the region to the other (docs/protocol.md, section 8).

use std::collections::BTreeMap;
use std::sync::Arc;

use sterna_client::{Config, State};
use sterna_cluster::Plan;
use sterna_gateway::leaving::Leaving;
use sterna_process::Process;
use sterna_protocol::Encoding;
use sterna_protocol::frame::Endpoint;
use tokio::time::Duration;

use super::device::{Device, Door};
use super::{World, run};

const REGION: &str = "us-east-1";
const NAMES: [&str; 3] = ["ana", "bo", "cy"];
/// Messages that each device says.
const MESSAGES: usize = 150;

fn moves(seed: u64) {
    run(async move {
        let url = "wss://us-east-1.test/v1/connect";
        let endpoint = Endpoint { region: REGION.parse().unwrap(), url: url.into() };
        let plan =
            Plan { shards: 2, endpoints: vec![endpoint], ..Plan::small(REGION.parse().unwrap(), seed) };
        let mut world = World::of(plan);
        let mut founder = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut founder, &NAMES[1..]).await;
        drop(founder);
        let owner = Process::new("devices", seed, Arc::new(world.clock.clone()));
        let shards = (0..2).map(|shard| world.region.gateway(shard).unwrap().clone()).collect();
        let door = Door::new(&owner, shards);
        let mut devices = Vec::new();
        for name in NAMES {
            let device = Device::start(&owner, &world.plan, &door, name, Config::new(url)).await;
            device.follow(&stream).await;
            device.until("the members", |log| log.texts("member").len() == NAMES.len()).await;
            devices.push(device);
        }
        let talk = async {
            for n in 0..MESSAGES {
                for device in &devices {
                    device.say(&owner, &stream, format!("\"{} {n}\"", device.name));
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        let leave = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            door.to(1);
            let gateway = world.region.gateway(0).unwrap();
            gateway.leave(Leaving { per_s: 1, ..Leaving::deploy(REGION.parse().unwrap()) }).await;
            assert_eq!(gateway.sessions(), 0);
            assert_eq!(world.region.gateway(1).unwrap().sessions(), NAMES.len());
        };
        tokio::join!(talk, leave);
        for device in &devices {
            device.until("all of it", |log| log.texts("message").len() >= MESSAGES * NAMES.len()).await;
        }
        // Whatever is still on its way would be a repeat.
        tokio::time::sleep(Duration::from_secs(30)).await;
        devices.iter().for_each(judge);
    });
}

fn judge(device: &Device) {
    let log = device.log();
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for text in log.texts("message") {
        let (who, n) = text.trim_matches('"').rsplit_once(' ').unwrap();
        let expected = next.entry(who.to_owned()).or_default();
        assert_eq!(n.parse::<usize>().unwrap(), *expected, "{who}'s, as {} shows them", device.name);
        *expected += 1;
    }
    assert!(NAMES.iter().all(|name| next[*name] == MESSAGES), "{next:?}");
    let states: Vec<State> = log.states.iter().map(|(state, _)| *state).collect();
    let first = [State::Connecting, State::Greeting, State::CatchingUp, State::Live];
    let second = [State::Moving, State::CatchingUp, State::Live];
    assert_eq!(states, [&first[..], &second].concat(), "{}: it was never without a session", device.name);
    let took = log.states[5].1 - log.states[4].1;
    assert!(took < Duration::from_secs(5), "{}: current on the second before the first went", device.name);
}

/// G2, G3, G4, E6, section 8: everybody goes to the other shard while all talk; each message is shown once,
/// an author's in the order said; the second socket is current before the first is closed.
#[test]
fn a_deploy_under_traffic_loses_nothing_and_keeps_everybodys_order() {
    (0..5).for_each(|seed| moves(900 + seed));
}
