//! `history: since_joined` over sockets: a new member starts at the event that added them, in every region,
//! whenever what stands below comes to light (E24). All in paused time.

use super::*;

impl World {
    /// Ana in us-east-1 owns a stream whose members start where they were added; bo in eu-west-1 writes to
    /// it.
    async fn since_joined(&mut self) -> (StreamId, Person, Person) {
        let mut ana = self.person("ana", NAMES[0]).await;
        let id = self.id();
        let stream = created::stream("acme", "chat", &"ana".parse().unwrap(), id).unwrap();
        let creation = r#"{"user":"ana","add":"owner","history":"since_joined"}"#;
        ana.publish(&stream, id, "member", creation, false).await;
        ana.subscribe_when_there(&stream).await;
        self.change(&mut ana, &stream, r#"{"user":"bo","add":"writer"}"#).await;
        let mut bo = self.person("bo", NAMES[1]).await;
        bo.subscribe_when_there(&stream).await;
        (stream, ana, bo)
    }

    async fn change(&mut self, owner: &mut Person, stream: &StreamId, json: &str) {
        let id = self.id();
        owner.publish(stream, id, "member", json, false).await;
        owner.until("its ack", |p| p.acked.contains(&id)).await;
        // Whoever is added is a member wherever they ask.
        owner.listen(Duration::from_secs(3)).await;
    }

    async fn say(&mut self, who: &mut Person, stream: &StreamId, text: &str) {
        let id = self.id();
        who.publish(stream, id, "message", &format!("{text:?}"), false).await;
        let shown = format!("{text:?}");
        who.until("its own", |p| p.texts(stream).contains(&shown)).await;
    }
}

fn quoted(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{text:?}")).collect()
}

/// E24: join, resume from a cursor and from nothing, and being added again after a removal.
#[test]
fn a_new_member_sees_what_came_after_the_add_however_they_come() {
    run(async {
        let mut world = World::new(71);
        let (stream, mut ana, mut bo) = world.since_joined().await;
        world.say(&mut ana, &stream, "before").await;
        world.say(&mut bo, &stream, "before, by bo").await;
        world.change(&mut ana, &stream, r#"{"user":"cy","add":"writer"}"#).await;
        let mut cy = world.person("cy", NAMES[2]).await;
        cy.subscribe_when_there(&stream).await;
        world.say(&mut ana, &stream, "after").await;
        cy.until("what came after", |p| p.texts(&stream).len() == 1).await;
        assert_eq!(cy.texts(&stream), quoted(&["after"]));
        let hidden = cy.hidden[&stream].clone();
        assert!(hidden.get(&NAMES[0].parse().unwrap()) >= 3 && hidden.get(&NAMES[1].parse().unwrap()) == 1);

        let mut again = world.person("cy", NAMES[1]).await;
        again.cursors.insert(stream.clone(), hidden);
        again.subscribe_when_there(&stream).await;
        let mut anew = world.person("cy", NAMES[0]).await;
        anew.subscribe_when_there(&stream).await;
        world.say(&mut bo, &stream, "later").await;
        for device in [&mut cy, &mut again, &mut anew] {
            device.until("the later one", |p| p.texts(&stream).len() == 2).await;
            assert_eq!(device.texts(&stream), quoted(&["after", "later"]));
        }

        world.change(&mut ana, &stream, r#"{"user":"cy","remove":"all"}"#).await;
        world.say(&mut ana, &stream, "without cy").await;
        world.change(&mut ana, &stream, r#"{"user":"cy","add":"reader"}"#).await;
        let mut back = world.person("cy", NAMES[2]).await;
        back.subscribe_when_there(&stream).await;
        world.say(&mut ana, &stream, "welcome back").await;
        back.until("the welcome", |p| !p.texts(&stream).is_empty()).await;
        assert_eq!(back.texts(&stream), quoted(&["welcome back"]));
    });
}

/// E24: what was said before the add in a region that was cut off, and comes to light when it heals, stays
/// hidden from whoever is live, and from nobody who was there.
#[test]
fn what_surfaces_late_below_the_add_stays_hidden_live() {
    run(async {
        let mut world = World::new(72);
        let (stream, mut ana, mut bo) = world.since_joined().await;
        world.change(&mut ana, &stream, r#"{"user":"cy","add":"reader"}"#).await;
        let mut cy = world.person("cy", NAMES[2]).await;
        cy.subscribe_when_there(&stream).await;
        let eu: Region = NAMES[1].parse().unwrap();
        world.regions.between.cut_off(&eu, true);
        world.say(&mut bo, &stream, "cut off").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.change(&mut ana, &stream, r#"{"user":"dee","add":"reader"}"#).await;
        let mut dee = world.person("dee", NAMES[2]).await;
        dee.subscribe_when_there(&stream).await;
        world.say(&mut ana, &stream, "to dee").await;
        dee.until("what came after", |p| p.texts(&stream).len() == 1).await;
        world.regions.between.cut_off(&eu, false);
        let origin = NAMES[1].parse().unwrap();
        dee.until("being told", |p| p.hidden.get(&stream).is_some_and(|h| h.get(&origin) == 1)).await;
        world.say(&mut bo, &stream, "healed").await;
        dee.until("what came after", |p| p.texts(&stream).len() == 2).await;
        assert_eq!(dee.texts(&stream), quoted(&["to dee", "healed"]));
        cy.until("all three", |p| p.texts(&stream).len() == 3).await;
    });
}
