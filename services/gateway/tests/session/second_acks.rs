//! Second acks: what a session is told of other regions (docs/protocol.md, rule 14; E9). All in paused time.

use sterna_protocol::frame::{Ack, Durability, ServerFrame};
use sterna_stream::EventId;

use crate::person::Person;
use crate::world::{World, run};

async fn ack(person: &mut Person) -> (Vec<EventId>, Durability) {
    let ServerFrame::Ack(Ack { event_ids, durability, .. }) = person.frame().await else { panic!("no ack") };
    (event_ids, durability)
}

/// E9: the author follows nothing; both acks come, the second for several at once, and again for a
/// repeat.
#[test]
fn an_author_who_follows_nothing_gets_both_acks_and_again_for_a_repeat() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        let ids = [world.id(), world.id()];
        for (id, offset) in ids.into_iter().zip([7, 9]) {
            ana.publish(&stream, id).await;
            world.accept_at(offset).await;
            assert_eq!(ack(&mut ana).await, (vec![id], Durability::Region));
        }
        world.covered(7).await;
        ana.quiet(1).await;
        world.covered(10).await;
        assert_eq!(ack(&mut ana).await, (ids.to_vec(), Durability::Global));
        ana.publish(&stream, ids[0]).await;
        world.accept_at(12).await;
        assert_eq!(ack(&mut ana).await, (vec![ids[0]], Durability::Region));
        world.covered(13).await;
        assert_eq!(ack(&mut ana).await, (vec![ids[0]], Durability::Global));
    });
}

/// Rule 14: what another region is known to have before the answer of messaging came is acked twice in a row,
/// in that order.
#[test]
fn the_first_ack_comes_before_the_second_whatever_is_known_first() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        ana.publish(&stream, id).await;
        world.covered(8).await;
        ana.quiet(1).await;
        world.accept_at(7).await;
        assert_eq!(ack(&mut ana).await, (vec![id], Durability::Region));
        assert_eq!(ack(&mut ana).await, (vec![id], Durability::Global));
    });
}

/// E15: an attachment that ends costs nothing: state says again how far it is.
#[test]
fn a_second_ack_comes_over_a_new_attachment_too() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        ana.publish(&stream, id).await;
        world.accept_at(7).await;
        assert_eq!(ack(&mut ana).await, (vec![id], Durability::Region));
        // A hole in the numbers ends the attachment.
        world.pushed += 1;
        world.covered(3).await;
        assert!(world.state.is_left().await);
        world.attached().await;
        world.covered(8).await;
        assert_eq!(ack(&mut ana).await, (vec![id], Durability::Global));
    });
}
