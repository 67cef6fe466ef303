//! Member events that were lost with a life that has ended (E1, E24).

use super::*;

impl World {
    /// Takes the segment out that adds `user`, and gives it back.
    fn lose(&self, user: &str) -> Stored {
        let mut held = self.table.0.lock().unwrap();
        let adds = |stored: &Stored| {
            member_events(&stored.segment)
                .any(|(event, _)| event.subject.as_str() == user && matches!(event.change, Change::Add(_)))
        };
        let at = held.0.iter().position(adds).unwrap();
        held.0.remove(at)
    }

    fn surface(&self, lost: Stored) {
        let held = &mut self.table.0.lock().unwrap().0;
        held.push(lost);
        held.sort_by_key(|stored| stored.segment.first);
    }

    fn gather(&self) {
        self.table.0.lock().unwrap().2 = true;
    }

    /// What each of them may read, by a fold that is looked up again.
    async fn readers(&self, users: &[&str]) -> Vec<Result<Permission, Reason>> {
        tokio::time::advance(FRESH).await;
        let mut readers = Vec::new();
        for user in users {
            readers.push(self.may(user, Action::Read).await);
        }
        readers
    }
}

const YES: Result<Permission, Reason> = Ok(Permission::Read);
const NO: Result<Permission, Reason> = Err(Reason::NotFound);

/// E1, E24: what is missing in the middle of a chain is waited for until its life is gathered; then what is
/// left counts, below it and behind it, and what was lost says nothing.
#[tokio::test(start_paused = true)]
async fn what_is_left_around_a_hole_counts_once_the_life_is_gathered() {
    let world = World::new();
    for user in ["bo", "cy", "dee", "eve"] {
        world.change("ana", user, Change::Add(Role::Writer));
    }
    world.change("ana", "bo", Change::Remove(None));
    let people = ["ana", "bo", "cy", "dee", "eve"];
    for user in ["cy", "dee"] {
        world.lose(user);
    }
    assert_eq!(world.readers(&people).await, vec![Err(Reason::Unavailable); 5], "they may still come");
    world.gather();
    assert_eq!(world.readers(&people).await, [YES, NO, NO, NO, YES]);
    world.change("ana", "fay", Change::Add(Role::Reader));
    assert_eq!(world.readers(&["ana", "cy", "fay"]).await, [YES, NO, YES], "it goes on behind that");
}

/// E1, E24: what surfaces after all is found whatever else is lost, and folded as in a region that never
/// missed it.
#[tokio::test(start_paused = true)]
async fn what_surfaces_after_all_is_folded() {
    let world = World::new();
    for user in ["bo", "cy", "dee"] {
        world.change("ana", user, Change::Add(Role::Writer));
    }
    world.change("ana", "dee", Change::Add(Role::Reader));
    let (bo, _) = (world.lose("bo"), world.lose("cy"));
    world.gather();
    assert_eq!(world.readers(&["bo", "cy", "dee"]).await, [NO, NO, YES]);
    world.surface(bo);
    world.readers(&["ana"]).await;
    assert_eq!(world.readers(&["bo", "cy", "dee"]).await, [YES, NO, YES]);
}

/// E1, E24: with the creation nobody is left, and that is an answer, too.
#[tokio::test(start_paused = true)]
async fn without_its_creation_a_stream_is_nobodys() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    world.lose("ana");
    world.gather();
    assert_eq!(world.readers(&["ana", "bo"]).await, [NO, NO]);
}
