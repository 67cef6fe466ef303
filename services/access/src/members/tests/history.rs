//! What new members see of a stream.

use sterna_stream::ids::EventKind;
use sterna_stream::kind::{Effect, Kind, Payload, Retention, member_event};

use super::*;

/// A kind of stream whose newcomers see nothing of what was said before.
pub(super) struct Circle;

impl Kind for Circle {
    fn name(&self) -> &'static str {
        "circle"
    }

    fn check(&self, _: &EventKind, payload: Payload<'_>) -> Result<Effect, Refusal> {
        member_event(payload)
    }

    fn may_write(&self, _: &EventKind, role: Role) -> bool {
        role == Role::Owner
    }

    fn retention(&self) -> Retention {
        Retention::Forever
    }

    fn history(&self) -> History {
        History::SinceJoined
    }
}

/// E24, E31: new members see what the stream's creation says, and where it says nothing what the kind does;
/// no later member event says it.
#[tokio::test(start_paused = true)]
async fn new_members_see_what_the_creation_says_else_what_the_kind_does() {
    use History::{All, SinceJoined};
    for (kind, said, seen) in [
        ("chat", None, All),
        ("chat", Some(SinceJoined), SinceJoined),
        ("circle", None, SinceJoined),
        ("circle", Some(All), All),
    ] {
        let world = World::of(kind, said);
        let history =
            async || world.authorizer.view(&who("acme", "ana"), &world.stream).await.unwrap().history;
        assert_eq!(history().await, seen, "{kind} {said:?}");
        for later in [All, SinceJoined] {
            let owner =
                super::Payload { user: user("ana"), change: Change::Add(Role::Owner), history: Some(later) };
            world.says("ana", &payload::json(&owner));
            assert_eq!(history().await, seen, "{kind} {said:?}, later {later:?}");
        }
    }
}
