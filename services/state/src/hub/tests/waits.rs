//! E24: nothing is shown before what it rests on is held here.

use super::*;

/// E24: Bob is removed in one region, then something is said in another about it; the second waits for the
/// first.
#[test]
fn a_segment_waits_for_what_it_rests_on() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "us-east-1:4,eu-west-1:1");
    push(&mut hub, segment("a", EU, 2, "us-east-1:5"));
    push(&mut hub, segment("a", EU, 3, ""));
    assert_eq!(reader.words(), ["joined eu-west-1:1,us-east-1:4"]);
    assert_eq!(hub.waiting(), [id("a")]);
    push(&mut hub, segment("a", US, 5, ""));
    assert_eq!(reader.words(), ["us-east-1:5", "eu-west-1:2", "eu-west-1:3"], "each origin in order");
    assert_eq!(hub.waiting(), []);
    assert_eq!(hub.counters().waited, 2);
}

/// E24: what a mirror left out is not held because something later came: the removal may be in the hole.
#[test]
fn what_comes_after_a_hole_does_not_show_that_the_hole_is_held() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "us-east-1:4");
    push(&mut hub, segment("a", US, 9, ""));
    push(&mut hub, segment("a", EU, 1, "us-east-1:5"));
    assert_eq!(reader.words(), ["joined us-east-1:4", "us-east-1:9"]);
    hub.held(&id("a"), &cursor("us-east-1:9"), Instant::now());
    assert_eq!(reader.words(), ["recheck eu-west-1:1"], "nobody was told of what was in the hole");
}

/// E24: what waits of one origin holds up no other.
#[test]
fn another_origin_is_not_held_up() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    push(&mut hub, segment("a", EU, 1, "ap-southeast-1:1"));
    push(&mut hub, segment("a", US, 1, ""));
    assert_eq!(reader.words(), ["joined ", "us-east-1:1"]);
}

/// E24: two origins may wait for each other's earlier events; each step frees the next.
#[test]
fn a_chain_of_waits_is_resolved_at_once() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    push(&mut hub, segment("a", EU, 1, "ap-southeast-1:1"));
    push(&mut hub, segment("a", US, 1, "eu-west-1:1"));
    push(&mut hub, segment("a", "ap-southeast-1", 1, ""));
    assert_eq!(reader.words(), ["joined ", "ap-southeast-1:1", "eu-west-1:1", "us-east-1:1"]);
}

/// E24: what it waits for may come by the table alone; then no push told the shards of it, so they are told
/// to authorise again, once.
#[test]
fn what_is_held_by_the_table_alone_is_told_as_a_recheck() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    push(&mut hub, segment("a", EU, 1, "us-east-1:5"));
    hub.held(&id("a"), &cursor("us-east-1:4"), Instant::now());
    assert_eq!(reader.words(), ["joined "]);
    hub.held(&id("a"), &cursor("us-east-1:5"), Instant::now());
    push(&mut hub, segment("a", EU, 2, "us-east-1:5"));
    assert_eq!(reader.words(), ["recheck eu-west-1:1", "eu-west-1:2"]);
}

/// E24: a shard that joined at an older head than another was told of is told again.
#[test]
fn a_later_shard_with_an_older_head_is_told_to_recheck_too() {
    let mut hub = owner(8);
    let [mut first, mut second] = [0, 1].map(|_| Reader::attach(&mut hub));
    first.join(&mut hub, "a", "");
    push(&mut hub, segment("a", EU, 1, "us-east-1:5"));
    hub.held(&id("a"), &cursor("us-east-1:5"), Instant::now());
    second.join(&mut hub, "a", "us-east-1:4");
    push(&mut hub, segment("a", EU, 2, "us-east-1:5"));
    assert_eq!(first.words(), ["joined ", "recheck eu-west-1:1", "recheck eu-west-1:2"]);
    assert_eq!(second.words(), ["joined eu-west-1:1,us-east-1:4", "recheck eu-west-1:2"]);
}

/// E24: the head that a second shard joins at may be what the first one's segments wait for.
#[test]
fn a_join_releases_what_its_head_was_waited_for() {
    let mut hub = owner(8);
    let [mut first, mut second] = [0, 1].map(|_| Reader::attach(&mut hub));
    first.join(&mut hub, "a", "");
    push(&mut hub, segment("a", EU, 1, "us-east-1:5"));
    second.join(&mut hub, "a", "us-east-1:5");
    assert_eq!(first.words(), ["joined ", "recheck eu-west-1:1"]);
    assert_eq!(second.words(), ["joined eu-west-1:1,us-east-1:5", "recheck eu-west-1:1"]);
}

/// E24: the wait is bounded in time; what waited too long is left to the backlog, which asks the same.
#[test]
fn what_waits_too_long_is_given_up_and_counted() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    let now = Instant::now();
    push(&mut hub, segment("a", EU, 1, "us-east-1:5"));
    hub.held(&id("a"), &Cursor::new(), now);
    assert_eq!(hub.counters().given_up, 0);
    hub.held(&id("a"), &Cursor::new(), Instant::now() + WAITING);
    assert_eq!((hub.counters().given_up, hub.waiting().len()), (1, 0));
    push(&mut hub, segment("a", EU, 2, ""));
    assert_eq!(reader.words(), ["joined ", "eu-west-1:2"], "the gap tells the shard to pull");
}

/// E24: the wait is bounded in number; a repeat of what waits takes no place.
#[test]
fn too_many_that_wait_are_given_up_and_counted() {
    let mut hub = owner(2 * WAITING_SEGMENTS);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    for seq in 1..=WAITING_SEGMENTS as u64 + 3 {
        push(&mut hub, segment("a", EU, seq, "us-east-1:1"));
        push(&mut hub, segment("a", EU, seq, "us-east-1:1"));
    }
    let Counters { repeated, given_up, .. } = hub.counters();
    assert_eq!((repeated, given_up), (WAITING_SEGMENTS as u64 + 3, 3));
    push(&mut hub, segment("a", US, 1, ""));
    assert_eq!(reader.words().len(), 2 + WAITING_SEGMENTS);
}

/// E24: a segment waits for the events of the tenant's access stream that it rests on, its own origin's
/// included, for they stand in another stream; whoever follows is told to authorise anew, once.
#[test]
fn a_segment_waits_for_the_access_events_it_rests_on() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    let resting = |seq| {
        let mut segment = segment("a", US, seq, "");
        segment.policy.access = cursor("us-east-1:3");
        segment
    };
    push(&mut hub, resting(1));
    push(&mut hub, segment("a", US, 2, ""));
    assert_eq!(reader.words(), ["joined "]);
    let access: StreamId = "acme/access/main".parse().unwrap();
    assert_eq!((hub.lacking_access(), hub.lacking()), (vec![access.clone()], vec![]));
    hub.access_held(&access, &cursor("us-east-1:2"), &[]);
    hub.access_held(&"other/access/main".parse().unwrap(), &cursor("us-east-1:9"), &[]);
    assert_eq!((reader.words().len(), hub.waiting()), (0, vec![id("a")]));
    hub.access_held(&access, &cursor("us-east-1:3"), &[]);
    assert_eq!(reader.words(), ["recheck us-east-1:1", "us-east-1:2"]);
    assert_eq!((hub.lacking_access(), hub.waiting()), (vec![], vec![]));
    push(&mut hub, resting(3));
    assert_eq!(reader.words(), ["us-east-1:3"], "it was told once");
    let mut second = Reader::attach(&mut hub);
    second.join(&mut hub, "a", "us-east-1:3");
    push(&mut hub, resting(4));
    assert_eq!(second.words(), ["joined us-east-1:3", "recheck us-east-1:4"], "a shard that joins was not");
}

/// E1, E24: access events that were lost with a region are not waited for once its life has ended and what is
/// left of it is here: that is, and so is what a life that goes on may still bring.
#[test]
fn a_segment_does_not_wait_for_what_was_lost_with_an_ended_life() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    let mut resting = segment("a", US, 1, "");
    resting.policy.access = cursor("us-east-1:9");
    let mut behind = segment("a", EU, 1, "");
    behind.policy.access = cursor("eu-west-1:4,us-east-1:8");
    push(&mut hub, resting);
    push(&mut hub, behind);
    let access: StreamId = "acme/access/main".parse().unwrap();
    let lives = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Origin>>();
    assert_eq!(hub.lacking_lives(&access), lives(&[EU, US]));
    hub.access_held(&access, &cursor("eu-west-1:3,us-east-1:7"), &[]);
    assert_eq!(reader.words(), ["joined "], "it may still come");
    hub.access_held(&access, &cursor("eu-west-1:3,us-east-1:7"), &lives(&[US]));
    assert_eq!(reader.words(), ["recheck us-east-1:1"]);
    assert_eq!((hub.lacking_lives(&access), hub.lacking_access()), (lives(&[EU]), vec![access.clone()]));
    hub.access_held(&access, &cursor("eu-west-1:4,us-east-1:7"), &[]);
    assert_eq!(reader.words(), ["recheck eu-west-1:1"]);
    let mut later = segment("a", US, 2, "");
    later.policy.access = cursor("us-east-1:10");
    push(&mut hub, later);
    assert_eq!(reader.words(), ["recheck us-east-1:2"], "what is known of a life is known for good");
    assert_eq!((hub.lacking_lives(&access), hub.waiting()), (vec![], vec![]));
}

/// E24: what is needed is looked for at once when it is first met, and not again for each that needs it.
#[tokio::test]
async fn access_events_are_looked_for_at_once() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    let look = hub.look();
    for (seq, access, looks) in
        [(1, "us-east-1:3", true), (2, "us-east-1:3", false), (3, "us-east-1:4", true)]
    {
        let mut segment = segment("a", US, seq, "");
        segment.policy.access = cursor(access);
        push(&mut hub, segment);
        assert_eq!(futures_util::FutureExt::now_or_never(look.notified()).is_some(), looks, "{seq}");
    }
}

/// G9: a look visits the streams in which something waits, and what was learnt of a tenant's access stream
/// only that tenant's, however many are followed.
#[test]
fn a_look_visits_what_waits_and_nothing_else() {
    let mut hub = owner(1_000);
    let mut reader = Reader::attach(&mut hub);
    let waits = |hub: &mut Hub, tenant: &str, name: &str, waits: bool| {
        let stream: StreamId = format!("{tenant}/chat/{name}").parse().unwrap();
        assert!(hub.follow(reader.id, &stream));
        hub.joined(reader.id, &stream, head(""));
        let mut segment = segment("a", US, 1, "");
        segment.stream = stream;
        segment.policy.access = cursor(if waits { "us-east-1:3" } else { "" });
        push(hub, segment);
    };
    (0..200).for_each(|n| waits(&mut hub, "acme", &format!("quiet{n}"), false));
    (0..3).for_each(|n| waits(&mut hub, "acme", &format!("waits{n}"), true));
    (0..5).for_each(|n| waits(&mut hub, "other", &format!("waits{n}"), true));
    let visits = |hub: &Hub| hub.waiting.visits.replace(0);
    visits(&hub);
    let access: StreamId = "acme/access/main".parse().unwrap();
    assert_eq!((hub.lacking_access().len(), visits(&hub)), (2, 8));
    assert_eq!((hub.lacking().len(), visits(&hub)), (0, 8));
    hub.access_held(&access, &cursor("us-east-1:3"), &[]);
    assert_eq!((visits(&hub), hub.waiting().len()), (3, 5));
    hub.detach(reader.id);
    assert_eq!((hub.waiting(), hub.lacking_access()), (vec![], vec![]));
    assert_eq!(reader.words().len(), 203 * 2 + 5);
}
