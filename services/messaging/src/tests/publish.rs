//! Publish over a direct link: when it acks, in which order, and what it refuses before the ack.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use prost::Message;
use sterna_access::Permission;
use sterna_log::Log;
use sterna_log::faulty::ProduceFault;
use sterna_process::{Caller, Link, require_caller};
use sterna_proto::v1;
use sterna_proto::v1::messaging_client::MessagingClient;
use sterna_proto::v1::publish_down::Outcome;
use sterna_stream::sequencer::Limits;
use sterna_stream::{EventId, StreamId};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Streaming};

use super::{Instance, NOW, SECRET, World, config, pass, sealed, stream_in};
use crate::Config;

/// One call, as a shard holds it.
struct Call {
    up: mpsc::Sender<v1::PublishUp>,
    down: Streaming<v1::PublishDown>,
    tag: u64,
}

impl World {
    fn client(&self, instance: &Instance, role: &str) -> MessagingClient<Link> {
        let routes = require_caller(instance.messaging.routes(), &self.keys);
        let caller = Caller::new(role, "us-east-1").unwrap();
        let link = Link::direct(&instance.process, routes).called_by(&self.persistence, &caller, &self.keys);
        MessagingClient::new(link)
    }

    async fn call(&self, instance: &Instance) -> Call {
        let (up, mut queue) = mpsc::channel(4_096);
        let commands = stream::poll_fn(move |cx| queue.poll_recv(cx));
        let down = self.client(instance, "gateway").publish(commands).await.unwrap().into_inner();
        Call { up, down, tag: 0 }
    }

    /// A command of ana's, under a grant that lasts.
    fn command(&mut self, stream: &StreamId) -> v1::PublishUp {
        let id = self.id();
        v1::PublishUp {
            grant: sealed(SECRET, Permission::Publish, stream, NOW + 3_600_000, "g1"),
            event_id: Bytes::copy_from_slice(&id.to_bytes()),
            kind: "message".into(),
            payload: Bytes::from_static(b"1"),
            request_id: "request-1".into(),
            ..v1::PublishUp::default()
        }
    }

    async fn in_ingress(&self, partition: u16) -> Vec<v1::IngressRecord> {
        let records = self.records(false, partition).await;
        records.into_iter().map(|record| v1::IngressRecord::decode(record.value).unwrap()).collect()
    }

    /// What one command comes to, on a call of its own.
    async fn publish(&mut self, instance: &Instance, stream: &StreamId) -> String {
        let command = self.command(stream);
        self.call(instance).await.ask(command).await
    }
}

impl Call {
    fn send(&mut self, command: v1::PublishUp) {
        self.tag += 1;
        self.up.try_send(v1::PublishUp { tag: self.tag, ..command }).unwrap();
    }

    /// Where the record of the next answer stands, which is that it was accepted.
    async fn place(&mut self) -> v1::Position {
        let down = self.down.message().await.unwrap().unwrap();
        let Some(Outcome::Accepted(accepted)) = down.outcome else { panic!("{down:?}") };
        accepted.place.unwrap()
    }

    /// The next answer: its tag, and `accepted`, `single copy` or the reason it was refused for.
    async fn answer(&mut self) -> (u64, String) {
        let down = self.down.message().await.unwrap().unwrap();
        let outcome = match down.outcome.unwrap() {
            Outcome::Accepted(v1::Accepted { single_copy: false, .. }) => "accepted".to_owned(),
            Outcome::Accepted(v1::Accepted { single_copy: true, .. }) => "single copy".to_owned(),
            Outcome::Refused(refused) => refused.code,
        };
        (down.tag, outcome)
    }

    async fn ask(&mut self, command: v1::PublishUp) -> String {
        self.send(command);
        self.answer().await.1
    }
}

fn body_id(record: &v1::IngressRecord) -> EventId {
    sterna_proto::record::peek(&record.body).unwrap().id
}

/// E6: publishes of one call to one stream are accepted in the order in which they were sent; each is
/// answered under its tag. The record says who asked, by which request and grant.
#[tokio::test(start_paused = true)]
async fn publishes_of_one_call_keep_their_order() {
    let mut world = World::new(config());
    let latency = (Duration::from_millis(1), Duration::from_millis(50));
    world.log.tune(|config| config.produce_latency = latency);
    let instance = world.start("messaging-0");
    let mut call = world.call(&instance).await;
    let mut sent = Vec::new();
    for _ in 0..200 {
        let command = world.command(&stream_in(0));
        sent.push(EventId::from_bytes(&command.event_id).unwrap());
        call.send(command);
    }
    let mut tags = Vec::new();
    for _ in 0..200 {
        let (tag, outcome) = call.answer().await;
        assert_eq!(outcome, "accepted");
        tags.push(tag);
    }
    tags.sort_unstable();
    assert_eq!(tags, (1..=200).collect::<Vec<_>>());
    let records = world.in_ingress(0).await;
    assert_eq!(records.iter().map(body_id).collect::<Vec<_>>(), sent);
    let one = &records[0];
    assert_eq!((&*one.actor, &*one.request_id, &*one.grant_id), ("ana", "request-1", "g1"));
    assert_eq!((one.policy.is_some(), one.stream.as_str()), (true, stream_in(0).as_str()));
}

/// E9: the answer says where in the ingress the record stands; a repeat stands somewhere else.
#[tokio::test(start_paused = true)]
async fn an_answer_says_where_the_record_stands() {
    let mut world = World::new(config());
    let instance = world.start("messaging-0");
    let mut call = world.call(&instance).await;
    let command = world.command(&stream_in(1));
    let mut places = Vec::new();
    for _ in 0..3 {
        call.send(command.clone());
        let place = call.place().await;
        assert_eq!((place.incarnation, place.partition), (1, 1));
        places.push(place.offset);
    }
    let page = world.log.read(&world.config.ingress, 1, 0, usize::MAX).await.unwrap();
    assert_eq!(places, page.entries.iter().map(|entry| entry.offset).collect::<Vec<_>>());
}

/// G1, E6: no ack before every in-sync replica has the record.
#[tokio::test(start_paused = true)]
async fn no_ack_before_the_log_has_it() {
    let mut world = World::new(config());
    let latency = Duration::from_secs(3);
    world.log.tune(|config| config.produce_latency = (latency, latency));
    let instance = world.start("messaging-0");
    let began = Instant::now();
    assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted");
    assert_eq!(began.elapsed(), latency);
    assert_eq!(world.in_ingress(0).await.len(), 1);
}

/// E7: what nobody knows is `unavailable`, what certainly was not taken `overloaded`; neither is an ack.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_unavailable_and_no_ack() {
    let mut world = World::new(config());
    let instance = world.start("messaging-0");
    let faults = [
        (ProduceFault::Applied, "unavailable", 1),
        (ProduceFault::Lost, "unavailable", 1),
        (ProduceFault::Unavailable, "overloaded", 1),
    ];
    for (fault, expected, standing) in faults {
        world.log_faults.force(fault, Some(&world.config.ingress), 1);
        assert_eq!(world.publish(&instance, &stream_in(0)).await, expected, "{fault:?}");
        assert_eq!(world.in_ingress(0).await.len(), standing, "{fault:?}");
    }
    assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted");
}

/// E9: with too few replicas in sync there is no ack, or one that says `single copy` where so configured.
#[tokio::test(start_paused = true)]
async fn a_single_copy_is_refused_or_marked() {
    for (accept_single_copy, expected) in [(false, "overloaded"), (true, "single copy")] {
        let mut world = World::new(Config { accept_single_copy, ..config() });
        let instance = world.start("messaging-0");
        assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted");
        world.log.set_in_sync(1);
        assert_eq!(world.publish(&instance, &stream_in(0)).await, "overloaded", "the log itself refuses");
        world.log.tune(|config| config.in_sync_min = 1);
        pass(2).await;
        assert_eq!(world.publish(&instance, &stream_in(0)).await, expected);
        world.log.set_in_sync(3);
        pass(2).await;
        assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted");
        assert_eq!(world.in_ingress(0).await.len(), 2 + usize::from(accept_single_copy));
    }
}

/// E8: at the lag that is configured Publish answers `overloaded` before the ack, for that partition alone,
/// until it is caught up.
#[tokio::test(start_paused = true)]
async fn a_lagging_partition_takes_no_more_until_it_has_caught_up() {
    let mut world = World::new(Config { lag_max: 20, ..config() });
    let instance = world.start("messaging-0");
    world.faults.set_down(true);
    for _ in 0..30 {
        assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted", "within one look");
    }
    pass(2).await;
    assert_eq!(world.publish(&instance, &stream_in(0)).await, "overloaded");
    assert_eq!(world.publish(&instance, &stream_in(1)).await, "accepted");
    assert_eq!(world.in_ingress(0).await.len(), 30);
    world.faults.set_down(false);
    pass(30).await;
    assert_eq!(world.publish(&instance, &stream_in(0)).await, "accepted");
}

/// E8: a stream whose queue is full is refused, and no other of its partition.
#[tokio::test(start_paused = true)]
async fn a_hot_stream_is_overloaded_and_others_are_not() {
    let limits = Limits { queue_records: 5, ..Limits::default() };
    let mut world = World::new(Config { partitions: 1, limits, ..config() });
    let instance = world.start("messaging-0");
    let (hot, calm): (StreamId, StreamId) =
        ("acme/chat/hot".parse().unwrap(), "acme/chat/b".parse().unwrap());
    world.faults.set_down(true);
    for _ in 0..20 {
        assert_eq!(world.publish(&instance, &hot).await, "accepted", "before the sequencer has seen it");
    }
    pass(2).await;
    assert_eq!(world.publish(&instance, &hot).await, "overloaded");
    assert_eq!(world.publish(&instance, &calm).await, "accepted");
    world.faults.set_down(false);
    pass(30).await;
    assert_eq!(world.publish(&instance, &hot).await, "accepted", "its skipped records were read again");
    pass(5).await;
    assert_eq!(world.ids().await.len(), 22);
}

/// E32: a grant that has ended, was changed, or is another region's allows nothing; one that ends while the
/// call goes on allows nothing from then on. The call itself goes on.
#[tokio::test(start_paused = true)]
async fn a_grant_that_is_not_good_is_refused() {
    let mut world = World::new(config());
    let instance = world.start("messaging-0");
    let stream = stream_in(0);
    let mut call = world.call(&instance).await;
    let good = |expires| sealed(SECRET, Permission::Publish, &stream, expires, "g1");
    let mut forged = good(NOW + 60_000).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let foreign = sealed(b"another region's grants", Permission::Publish, &stream, NOW + 60_000, "g1");
    for (grant, expected) in [
        (good(NOW), "forbidden"),
        (Bytes::from(forged), "forbidden"),
        (foreign, "forbidden"),
        (Bytes::new(), "forbidden"),
        (sealed(SECRET, Permission::Read, &stream, NOW + 60_000, "g1"), "forbidden"),
        (good(NOW + 10_000), "accepted"),
    ] {
        let command = v1::PublishUp { grant, ..world.command(&stream) };
        assert_eq!(call.ask(command).await, expected);
    }
    tokio::time::sleep(Duration::from_millis(9_999)).await;
    let command = v1::PublishUp { grant: good(NOW + 10_000), ..world.command(&stream) };
    assert_eq!(call.ask(command.clone()).await, "accepted");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(call.ask(command).await, "forbidden", "it has ended");
    assert_eq!(world.in_ingress(0).await.len(), 2);
}

/// E29: commands that the log has not acknowledged are bounded; more are not read until some are.
#[tokio::test(start_paused = true)]
async fn no_more_commands_are_read_than_may_be_unacknowledged() {
    let mut world = World::new(config());
    let latency = Duration::from_secs(60);
    world.log.tune(|config| config.produce_latency = (latency, latency));
    let instance = world.start("messaging-0");
    let mut call = world.call(&instance).await;
    for _ in 0..1_100 {
        let command = world.command(&stream_in(0));
        call.send(command);
    }
    assert_eq!(call.answer().await.1, "accepted");
    assert_eq!(world.in_ingress(0).await.len(), 1_024, "read at once, and so acknowledged at once");
    for _ in 1..1_100 {
        assert_eq!(call.answer().await.1, "accepted");
    }
    assert_eq!(world.in_ingress(0).await.len(), 1_100);
}

/// E29: an event that fits by its payload and not with its envelope is refused, never cut and never produced.
#[tokio::test(start_paused = true)]
async fn an_envelope_that_does_not_fit_a_frame_is_refused() {
    let mut world = World::new(config());
    let instance = world.start("messaging-0");
    let mut call = world.call(&instance).await;
    let with = |world: &mut World, request: usize| v1::PublishUp {
        payload: Bytes::from(vec![b'1'; 60 * 1024]),
        request_id: "r".repeat(request),
        ..world.command(&stream_in(0))
    };
    let command = with(&mut world, 10);
    assert_eq!(call.ask(command).await, "accepted");
    let command = with(&mut world, 4 * 1024);
    assert_eq!(call.ask(command).await, "payload_too_large");
    assert_eq!(world.in_ingress(0).await.len(), 1);
}

/// E32: only a gateway publishes.
#[tokio::test(start_paused = true)]
async fn no_other_role_may_publish() {
    let world = World::new(config());
    let instance = world.start("messaging-0");
    for role in ["messaging", "state", "notification", "persistence"] {
        let refused = world.client(&instance, role).publish(stream::iter(vec![])).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role}");
    }
}
