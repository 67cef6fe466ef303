//! Append: what each item came to, and who may.

use futures_util::stream;
use sterna_proto::v1;
use sterna_proto::v1::appended::Outcome;
use sterna_storage::faulty::{Chances, Fault};
use sterna_stream::limits::APPENDS_AT_ONCE;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tonic::Code;

use super::{Chain, STREAM, World, items};

async fn append(world: &World, items: Vec<v1::Item>) -> Vec<Outcome> {
    world.append(items).await.unwrap().results.into_iter().map(|result| result.outcome.unwrap()).collect()
}

/// E12: who loses a conditional put is given what stands there, byte for byte.
#[tokio::test(start_paused = true)]
async fn what_was_absent_is_stored_and_what_was_taken_is_found() {
    let world = World::new();
    let (ours, theirs) = (Chain::of("us-east-1").sized(&[2, 1]), Chain::of("us-east-1").sized(&[3]));
    assert_eq!(append(&world, items(&ours)).await, [Outcome::Stored(true), Outcome::Stored(true)]);
    assert_eq!(append(&world, items(&theirs)).await, [Outcome::Found(ours[0].bytes.clone())]);
    assert_eq!(
        append(&world, items(&ours[1..])).await,
        [Outcome::Found(ours[1].bytes.clone())],
        "its own too"
    );
}

/// E11, E12: each item has its own fate; what nobody knows is said so, applied or not, and changes no other.
#[tokio::test(start_paused = true)]
async fn items_are_independent_and_an_unknown_outcome_is_told_per_item() {
    let world = World::new();
    let chains = ["a", "b", "c", "d"].map(|origin| Chain::of(origin).sized(&[1]).remove(0));
    world.faults.next_write(Fault::Unknown);
    world.faults.next_write(Fault::Lost);
    world.faults.next_write(Fault::Throttle);
    let outcomes = append(&world, items(&chains)).await;
    let unknown = || Outcome::Unknown(true);
    assert_eq!(outcomes, [unknown(), unknown(), unknown(), Outcome::Stored(true)]);
    let again = append(&world, items(&chains)).await;
    let found = |n: usize| Outcome::Found(chains[n].bytes.clone());
    assert_eq!(again, [found(0), Outcome::Stored(true), Outcome::Stored(true), found(3)]);
}

/// E11, E33: a request that the table takes too long for is answered as unknown, and holds up no other of its
/// call.
#[tokio::test(start_paused = true)]
async fn a_slow_put_is_unknown_in_time_and_holds_up_no_other() {
    let world = World::new();
    let (slow, quick) = (Chain::of("a").sized(&[1]), Chain::of("b").sized(&[1]));
    let minute = Duration::from_secs(60);
    world.faults.set_chances(Chances { delay_min: minute, delay_max: minute, ..Chances::default() });
    let (queue, requests) = mpsc::channel(2);
    let requests = stream::unfold(requests, |mut queue: mpsc::Receiver<_>| async move {
        queue.recv().await.map(|request| (request, queue))
    });
    let began = Instant::now();
    queue.try_send(v1::AppendRequest { items: items(&slow), tag: 1 }).unwrap();
    let mut answers = world.called_by("messaging").append(requests).await.unwrap().into_inner();
    let waited = tokio::time::timeout(Duration::from_secs(1), answers.message()).await;
    assert!(waited.is_err(), "the table is slow");
    world.faults.set_chances(Chances::default());
    queue.try_send(v1::AppendRequest { items: items(&quick), tag: 2 }).unwrap();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.tag, first.results[0].outcome.clone()), (2, Some(Outcome::Stored(true))));
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!((second.tag, second.results[0].outcome.clone()), (1, Some(Outcome::Unknown(true))));
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

/// G9, E29: a call reads no further request while as many as it may are under way; it does when they are
/// answered.
#[tokio::test(start_paused = true)]
async fn a_call_has_a_bounded_number_of_puts_under_way() {
    let world = World::new();
    let (slow, last) = (Chain::of("a").sized(&[1]), Chain::of("b").sized(&[1]));
    let minute = Duration::from_secs(60);
    world.faults.set_chances(Chances { delay_min: minute, delay_max: minute, ..Chances::default() });
    let asked = (1..=APPENDS_AT_ONCE as u64).map(|tag| v1::AppendRequest { items: items(&slow), tag });
    let last = v1::AppendRequest { items: items(&last), tag: 0 };
    let requests = asked.chain([last]).collect::<Vec<_>>();
    let mut answers = world.called_by("messaging").append(stream::iter(requests)).await.unwrap().into_inner();
    let waited = tokio::time::timeout(Duration::from_secs(1), answers.message()).await;
    assert!(waited.is_err(), "the table is slow");
    // Whatever is put from now on is quick; what is being put is not.
    world.faults.set_chances(Chances::default());
    let began = Instant::now();
    let first = answers.message().await.unwrap().unwrap();
    assert!(first.tag != 0 && began.elapsed() >= Duration::from_secs(8), "{}", first.tag);
    let (mut stored, mut unknown) = (Vec::new(), 1);
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.results[0].outcome {
            Some(Outcome::Stored(true)) => stored.push(answer.tag),
            _ => unknown += 1,
        }
    }
    assert_eq!((stored, unknown), (vec![0], APPENDS_AT_ONCE), "the last was put when another was answered");
}

/// One malformed item and nothing is put: the caller's code is wrong, not its data.
#[tokio::test(start_paused = true)]
async fn a_malformed_item_puts_nothing() {
    let world = World::new();
    let mut items = items(&Chain::of("us-east-1").sized(&[1, 1]));
    items[1].origin = "No Region".into();
    let refused = world.append(items).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(world.inner.is_empty(sterna_storage::Name::Events));
}

/// E32: the caller's role guards writes: messaging appends, state ensures, nobody else does either.
#[tokio::test(start_paused = true)]
async fn only_messaging_appends_and_only_state_ensures() {
    let world = World::new();
    let items = items(&Chain::of("us-east-1").sized(&[1]));
    for role in ["messaging", "state", "gateway", "notification", "persistence"] {
        let mut client = world.called_by(role);
        let appended = client.append(stream::iter([v1::AppendRequest::default()])).await;
        let code = appended.err().map(|status| status.code());
        assert_eq!(code, (role != "messaging").then_some(Code::PermissionDenied), "{role} appends");
        let ensured = client.ensure(v1::EnsureRequest { items: items.clone(), grace_ms: 0 }).await;
        let code = ensured.err().map(|status| status.code());
        assert_eq!(code, (role != "state").then_some(Code::PermissionDenied), "{role} ensures");
    }
}

/// E29: a stored segment keeps its own bytes and not the buffer of the message that brought it.
#[tokio::test]
async fn a_stored_segment_does_not_keep_its_message() {
    let table = sterna_storage::memory::MemoryTable::new();
    let message = bytes::Bytes::from(vec![7; 8 * 1024]);
    let (stream, origin, record) = (STREAM.to_owned(), "us-east-1".to_owned(), message.slice(..10));
    let item = v1::Item { stream, origin, first: 1, record };
    let region = "us-east-1".parse().unwrap();
    crate::append::append(&table, &region, vec![item]).await.unwrap();
    assert!(message.is_unique());
}
