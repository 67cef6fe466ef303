//! What an ended life's records rest on when they are produced again.

use sterna_log::Log;
use sterna_proto::record::Stored;
use sterna_proto::{convert, v1};
use sterna_storage::{Expect, Put, layout};
use sterna_stream::{Hlc, Policy, Position, Prefix, Segment};

use super::rebuild::{accepted, broken};
use super::*;

/// A segment of us-east-1's first life, whose first seq is odd: of two events, the first of which changes
/// members.
fn left(stream: &str, first: u64) -> Stored {
    Stored::new(Segment {
        stream: stream.parse().unwrap(),
        origin: NAMES[0].parse().unwrap(),
        first,
        stamps: vec![Hlc::at(NOW), Hlc::at(NOW + 1)].into(),
        bodies: vec![bytes::Bytes::new(); 2].into(),
        from: Position { incarnation: 1, partition: 2, offset: 0 },
        policy: Policy::default(),
        prefix: Prefix::START,
        members: vec![0],
        member_before: first.saturating_sub(2),
    })
}

/// E1, E24: what was authorised against member events that were lost with the region, of its stream or of the
/// tenant's access stream, rests on the newest that is left of them: nobody will ever hold more, and would
/// wait for ever. Other regions' are named as they were.
#[test]
fn what_is_carried_rests_on_nothing_that_was_lost() {
    run(async {
        let (rebuild, log) = broken(None).await;
        let access = "acme/access/main";
        for left in [left("acme/chat/a", 1), left(access, 1), left(access, 3), left(access, 5)] {
            let key = layout::segment(&left.segment.stream, &left.segment.origin, left.segment.first);
            assert_eq!(rebuild.table.put(key, left.bytes, Expect::Absent).await.unwrap(), Put::Done(1));
        }
        let policy = |access: &str, member: &str| Policy {
            access: access.parse().unwrap(),
            member: member.parse().unwrap(),
        };
        let lost = policy("eu-west-1:3,us-east-1:9", "eu-west-1:4,us-east-1:7");
        log.produce(accepted(10, &lost)).await.unwrap();
        let make = async |topics: &[sterna_log::Topic]| {
            topics.iter().for_each(|topic| log.create(topic, 4));
            Ok(())
        };
        let rebuilt = rebuild.run(make).await.unwrap();
        assert_eq!(rebuilt.carried.records, 11);
        let ingress = sterna_cluster::stores::ingress(&rebuilt.origin);
        let record = log.last(&ingress, 2).await.unwrap().unwrap().record;
        let message = <v1::IngressRecord as prost::Message>::decode(record.value).unwrap();
        let rests_on = convert::policy(message.policy.as_ref()).unwrap();
        assert_eq!(rests_on, policy("eu-west-1:3,us-east-1:5", "eu-west-1:4,us-east-1:1"));
    });
}
