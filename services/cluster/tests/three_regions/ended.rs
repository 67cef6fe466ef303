//! In paused time: what survives of a destroyed region and rests on an access event that did not.

use sterna_cluster::between::{Delay, TABLE_DELAY};
use sterna_cluster::rebuild::Error;
use sterna_cluster::region::Place;
use sterna_storage::{Expect, Put, control, layout};
use sterna_stream::{Origin, fixed};

use super::*;

/// Seconds: long enough for all that is waited for a while, and for heads to be compared twice.
const LONG: u64 = 90;

impl World {
    fn us_is_silent(&self, on: bool) {
        let [us, eu, ap] = NAMES.map(|name| name.parse::<Region>().unwrap());
        for other in [eu, ap] {
            self.regions.between.mirrors[&(us.clone(), other.clone())].cut(on);
            self.regions.between.tables.hold_back(&us, &other, if on { 1_000 } else { 0 });
        }
    }

    /// The table alone brings to others what us-east-1 says, each item so late; no express, no mirror.
    fn us_speaks_by_its_table(&self, on: bool, late: Delay) {
        let [us, eu, ap] = NAMES.map(|name| name.parse::<Region>().unwrap());
        for other in [eu, ap] {
            let way = (us.clone(), other.clone());
            self.regions.between.wan[&way].cut(on);
            self.regions.between.mirrors[&way].cut(on);
            self.regions.between.tables.set_delay(&us, &other, late);
        }
    }

    /// Of us-east-1's first life, the segments of a stream that a region's table holds.
    async fn left(&self, region: &str, stream: &StreamId) -> usize {
        let prefix = format!("{stream}/us-east-1#");
        self.events(region).await.keys().filter(|key| key.starts_with(&prefix)).count()
    }

    /// A region's table loses what it has of a stream that names a user.
    async fn lose(&self, region: &str, stream: &StreamId, user: &str) {
        let table = self.table(region);
        let names = |value: &[u8]| value.windows(user.len()).any(|bytes| bytes == user.as_bytes());
        let items = table.scan(Name::Events, None).await.unwrap().items;
        let lost = items.into_iter().filter(|i| i.key.hash.as_ref() == stream.as_str() && names(&i.value));
        for item in lost {
            table.delete(item.key, Expect::Any).await.unwrap();
        }
    }

    async fn gathered(&self, region: &str) -> bool {
        let life: Origin = NAMES[0].parse().unwrap();
        !control::gathered(&*self.table(region), &[life]).await.unwrap().is_empty()
    }

    fn restart(&mut self, region: &str, places: &[Place]) {
        let region = self.regions.regions.get_mut(&region.parse::<Region>().unwrap()).unwrap();
        places.iter().for_each(|place| region.restart(*place));
    }
}

/// Three regions of a tenant whose access stream is founded in each; ops, who administers it, ana, bo and cy
/// follow: ops the access stream, the others one stream of theirs.
async fn founded(seed: u64) -> (World, StreamId, StreamId, [Person; 4]) {
    let mut world = World::of(seed, true, |_| vec![Tenant::new("acme", "ops").unwrap()]);
    let access = fixed::access("acme").unwrap();
    let (stream, [ana, mut bo, mut cy]) = world.three_people().await;
    let mut ops = world.person("ops", NAMES[0]).await;
    ops.subscribe_when_there(&access).await;
    ops.until("all foundings", |p| p.shown[&access].len() == NAMES.len()).await;
    both(&mut bo, &mut cy, 5).await;
    (world, stream, access, [ops, ana, bo, cy])
}

/// Time passes, and both are there.
async fn both(one: &mut Person, other: &mut Person, seconds: u64) {
    let time = Duration::from_secs(seconds);
    tokio::join!(one.listen(time), other.listen(time));
}

/// E1, E24: in us somebody is suspended, and something is said after that. Then us is destroyed: only what
/// was said has left it, by express. Nobody is shown it, for the suspension might still come, also when us
/// goes on in another life. When all that is left was gathered everywhere, everybody is: who was there all
/// the time, who comes then, and after a restart of all roles that decide it.
#[test]
fn what_rests_on_what_was_lost_is_shown_when_the_life_is_gathered_and_not_before() {
    run(async {
        let (mut world, stream, access, [mut ops, mut ana, mut bo, mut cy]) = founded(16).await;
        let before = world.left(NAMES[1], &access).await;

        world.us_is_silent(true);
        let id = world.id();
        ops.publish(&access, id, "suspension", r#"{"v":1,"user":"eve","suspended":true}"#, false).await;
        ops.until("the suspension", |p| p.shown[&access].len() > NAMES.len()).await;
        both(&mut bo, &mut cy, 2).await;
        let id = world.id();
        ana.publish(&stream, id, "message", r#""after it""#, false).await;
        ana.until("her own words", |p| p.texts(&stream).len() == 1).await;
        // By express they are in eu and ap, and soon in their tables; nobody there follows the access stream.
        both(&mut bo, &mut cy, 10).await;
        let [us, eu] = [0, 1].map(|at: usize| NAMES[at].parse::<Region>().unwrap());
        world.regions.regions.get_mut(&us).unwrap().kill_all();
        world.regions.between.destroy(&us);
        world.us_is_silent(false);
        let early = world.regions.between.gather(&us, &eu, 1).await;
        assert!(matches!(early, Err(Error::GoesOn(life)) if life.as_str() == NAMES[0]));
        let (words, lost) = (world.left(NAMES[1], &stream).await, world.left(NAMES[1], &access).await);
        assert_eq!(lost, before, "the suspension is lost");

        let rebuilt = world.regions.between.rebuild(&us, &eu, 1, world.clock.wall_ms()).await.unwrap();
        let peers = world.regions.between.peers_of(&us);
        world.regions.regions.get_mut(&us).unwrap().begin(&rebuilt.origin, peers);
        both(&mut bo, &mut cy, LONG).await;
        for person in [&bo, &cy] {
            assert_eq!(person.texts(&stream), [""; 0], "{}: it might still come", person.name);
        }
        for name in NAMES {
            assert_eq!((world.left(name, &stream).await, world.left(name, &access).await), (words, lost));
            assert!(!world.gathered(name).await);
        }

        let gathering = world.regions.between.gather(&us, &eu, 1);
        let (gathered, ()) = tokio::join!(gathering, both(&mut bo, &mut cy, 40));
        gathered.unwrap();
        for name in NAMES {
            assert!(world.gathered(name).await, "{name}");
        }
        bo.until("what was said", |p| p.texts(&stream).len() == 1).await;
        cy.until("what was said", |p| p.texts(&stream).len() == 1).await;
        let mut ana = world.person("ana", NAMES[0]).await;
        ana.subscribe_when_there(&stream).await;
        ana.until("what was said", |p| p.texts(&stream).len() == 1).await;

        world.restart(NAMES[1], &[Place::State(0), Place::Notification, Place::Gateway(0)]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut bo = world.person("bo", NAMES[1]).await;
        bo.subscribe_when_there(&stream).await;
        bo.until("what was said", |p| p.texts(&stream).len() == 1).await;
        let id = world.id();
        ana.publish(&stream, id, "message", r#""in another life""#, false).await;
        bo.until("what is said now", |p| p.texts(&stream).len() == 2).await;
    });
}

/// E1, E24: what survives in a mirror's log alone is gathered from there, also when no region has taken it
/// in, and is waited for until then: here the suspension comes to light, and binds.
#[test]
fn what_a_log_alone_holds_is_gathered_from_it() {
    run(async {
        let (mut world, stream, access, [mut ops, mut ana, mut bo, mut cy]) = founded(17).await;
        let before = world.left(NAMES[2], &access).await;

        // The mirror to eu goes on, where nobody takes in what it brings.
        world.us_is_silent(true);
        let [us, eu] = [0, 1].map(|at: usize| NAMES[at].parse::<Region>().unwrap());
        world.regions.between.mirrors[&(us.clone(), eu.clone())].cut(false);
        world.regions.regions.get_mut(&eu).unwrap().kill(Place::State(0));
        let id = world.id();
        ops.publish(&access, id, "suspension", r#"{"v":1,"user":"cy","suspended":true}"#, false).await;
        ops.until("the suspension", |p| p.shown[&access].len() > NAMES.len()).await;
        both(&mut bo, &mut cy, 2).await;
        let id = world.id();
        ana.publish(&stream, id, "message", r#""about cy""#, false).await;
        ana.until("her own words", |p| p.texts(&stream).len() == 1).await;
        both(&mut bo, &mut cy, 10).await;
        world.regions.regions.get_mut(&us).unwrap().kill_all();
        world.regions.between.destroy(&us);
        world.us_is_silent(false);
        let rebuilt = world.regions.between.rebuild(&us, &eu, 1, world.clock.wall_ms()).await.unwrap();
        let peers = world.regions.between.peers_of(&us);
        world.regions.regions.get_mut(&us).unwrap().begin(&rebuilt.origin, peers);
        both(&mut bo, &mut cy, LONG).await;
        assert_eq!(cy.texts(&stream), [""; 0]);
        assert_eq!(world.left(NAMES[2], &access).await, before, "no table has the suspension");

        let gathering = world.regions.between.gather(&us, &eu, 1);
        let (united, ()) = tokio::join!(gathering, both(&mut bo, &mut cy, 40));
        assert!(united.as_ref().unwrap().given >= 3, "the suspension, to each table: {united:?}");
        for name in NAMES {
            assert_eq!(world.left(name, &access).await, before + 1, "{name}");
        }
        world.restart(NAMES[1], &[Place::State(0)]);
        both(&mut bo, &mut cy, LONG).await;
        assert_eq!((bo.texts(&stream).len(), cy.texts(&stream).len()), (1, 0), "cy never sees what was said");
        assert!(cy.refused.contains(&Reason::Forbidden), "{:?}", cy.refused);
    });
}

/// E1, E24: the middle of us's member events is lost with it, and a later one is left. In no region is
/// anybody served in that stream, for the middle might still come, until the life is gathered; then what is
/// left counts, what was lost says nothing, everywhere alike, and the stream goes on.
#[test]
fn a_fold_goes_on_around_what_was_lost_in_the_middle() {
    run(async {
        let mut world = World::new(18);
        let (stream, [mut ana, bo, cy]) = world.three_people().await;
        // Nobody elsewhere follows it any more: what comes is folded by nobody there.
        drop((bo, cy));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = world.left(NAMES[1], &stream).await;
        let [us, eu, ap] = NAMES.map(|name| name.parse::<Region>().unwrap());
        for other in [&eu, &ap] {
            world.regions.between.mirrors[&(us.clone(), other.clone())].cut(true);
        }
        for user in ["dee", "eve"] {
            add(&mut world, &mut ana, &stream, user).await;
        }
        world.regions.regions.get_mut(&us).unwrap().kill_all();
        world.regions.between.destroy(&us);
        for other in NAMES.iter().skip(1) {
            world.lose(other, &stream, "dee").await;
        }
        world.us_is_silent(false);
        let rebuilt = world.regions.between.rebuild(&us, &eu, 1, world.clock.wall_ms()).await.unwrap();
        let peers = world.regions.between.peers_of(&us);
        world.regions.regions.get_mut(&us).unwrap().begin(&rebuilt.origin, peers);
        tokio::time::sleep(Duration::from_secs(LONG)).await;
        for name in NAMES {
            assert_eq!(world.left(name, &stream).await, before + 1, "{name}: eve's alone is left");
            let mut bo = world.person("bo", name).await;
            bo.subscribe(&stream).await;
            bo.until("a refusal", |p| !p.refused.is_empty()).await;
            assert_eq!(bo.refused, [Reason::Unavailable], "{name}: it might still come");
        }

        world.regions.between.gather(&us, &eu, 1).await.unwrap();
        let mut readers = Vec::new();
        for (name, region) in [("ana", 0), ("bo", 1), ("cy", 2), ("eve", 0), ("eve", 1), ("eve", 2)] {
            let mut person = world.person(name, NAMES[region]).await;
            person.subscribe_when_there(&stream).await;
            readers.push(person);
        }
        for name in NAMES {
            let mut dee = world.person("dee", name).await;
            dee.subscribe(&stream).await;
            dee.until("a refusal", |p| !p.refused.is_empty()).await;
            assert_eq!(dee.refused, [Reason::NotFound], "{name}: it was lost that she was let in");
        }
        let id = world.id();
        readers[0].publish(&stream, id, "message", r#""in another life""#, false).await;
        for reader in &mut readers {
            reader.until("what is said now", |p| p.texts(&stream).len() == 1).await;
        }
    });
}

/// Says something where the author is shown it.
async fn say(world: &mut World, author: &mut Person, stream: &StreamId, text: &str) -> u64 {
    let (id, said) = (world.id(), author.texts(stream).len());
    author.publish(stream, id, "message", &format!("\"{text}\""), false).await;
    author.until("their own words", |p| p.texts(stream).len() > said).await;
    author.shown[stream].last().unwrap().seq
}

/// E1, E17: what us said in the middle is lost with it, in each copy: express and mirrors were cut, and its
/// item was still on its way to the other tables, while a later one is there. Devices wait for it until the
/// life is gathered; then they are told that it is lost and shown what comes behind it: who was there all the
/// time, who comes back with what they had, and who comes then; and the stream goes on.
#[test]
fn devices_go_on_behind_what_was_lost_in_the_middle() {
    run(async {
        let mut world = World::new(20);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        say(&mut world, &mut ana, &stream, "before").await;
        bo.until("what was said first", |p| p.texts(&stream).len() == 1).await;
        cy.until("what was said first", |p| p.texts(&stream).len() == 1).await;
        both(&mut bo, &mut cy, 10).await;
        let (had, before) = (cy.cursors[&stream].clone(), world.left(NAMES[1], &stream).await);
        drop(cy);

        let hour = Duration::from_secs(3_600);
        world.us_speaks_by_its_table(true, Delay { min: hour, max: hour });
        let middle = say(&mut world, &mut ana, &stream, "lost").await;
        // Longer than express keeps what it would send to whoever begins to follow.
        bo.listen(Duration::from_secs(5)).await;
        world.us_speaks_by_its_table(true, TABLE_DELAY);
        say(&mut world, &mut ana, &stream, "after").await;
        bo.listen(Duration::from_secs(5)).await;
        let [us, eu] = [0, 1].map(|at: usize| NAMES[at].parse::<Region>().unwrap());
        world.regions.regions.get_mut(&us).unwrap().kill_all();
        // What is on its way does not arrive any more.
        world.regions.between.tables.destroy(&us);
        world.regions.between.destroy(&us);
        world.us_speaks_by_its_table(false, TABLE_DELAY);
        for name in &NAMES[1..] {
            assert_eq!(world.left(name, &stream).await, before + 1, "{name}: the later one alone is there");
        }

        let rebuilt = world.regions.between.rebuild(&us, &eu, 1, world.clock.wall_ms()).await.unwrap();
        let peers = world.regions.between.peers_of(&us);
        world.regions.regions.get_mut(&us).unwrap().begin(&rebuilt.origin, peers);
        bo.listen(Duration::from_secs(LONG)).await;
        let mut cy = world.person("cy", NAMES[2]).await;
        cy.cursors.insert(stream.clone(), had);
        cy.subscribe(&stream).await;
        both(&mut bo, &mut cy, LONG).await;
        for person in [&bo, &cy] {
            let (texts, lost) = (person.texts(&stream), &person.lost);
            assert!(
                lost.is_empty() && !texts.contains(&r#""after""#.to_owned()),
                "{}: {texts:?}",
                person.name
            );
        }

        let gathering = world.regions.between.gather(&us, &eu, 1);
        let (gathered, ()) = tokio::join!(gathering, both(&mut bo, &mut cy, 40));
        gathered.unwrap();
        let mut people = vec![bo, cy];
        for name in NAMES {
            let mut person = world.person("ana", name).await;
            person.subscribe_when_there(&stream).await;
            people.push(person);
        }
        let lost: sterna_stream::Cursor = format!("{}:{middle}", NAMES[0]).parse().unwrap();
        for person in &mut people {
            let after = |p: &Person| p.texts(&stream).last().is_some_and(|text| text == r#""after""#);
            person.until("what was said after", after).await;
            assert_eq!(person.lost.get(&stream), Some(&lost), "{} is told", person.name);
        }
        say(&mut world, &mut people[2], &stream, "in another life").await;
        for (person, had) in people.iter_mut().zip([true, false, true, true, true]) {
            let count = if had { 3 } else { 2 };
            person.until("what is said now", |p| p.texts(&stream).len() == count).await;
            let expected = [r#""before""#, r#""after""#, r#""in another life""#];
            assert_eq!(person.texts(&stream), expected[3 - count..], "{}", person.name);
        }
    });
}

/// Lets somebody in; what brings it elsewhere has some seconds.
async fn add(world: &mut World, owner: &mut Person, stream: &StreamId, user: &str) {
    let (id, json) = (world.id(), format!(r#"{{"user":"{user}","add":"writer"}}"#));
    owner.publish(stream, id, "member", &json, false).await;
    owner.until("an ack", |p| p.acked.contains(&id)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
}

/// E1, E29: where more of an ended life turns up at every look, gathering ends after so many and declares
/// nothing; run again when that is over, it does.
#[test]
fn gathering_that_never_settles_is_given_up_and_may_be_run_again() {
    run(async {
        let mut world = World::new(19);
        let [us, eu, ap] = NAMES.map(|name| name.parse::<Region>().unwrap());
        world.regions.regions.get_mut(&us).unwrap().kill_all();
        world.regions.between.destroy(&us);
        world.regions.between.rebuild(&us, &eu, 1, world.clock.wall_ms()).await.unwrap();
        for other in [&us, &ap] {
            world.regions.between.tables.hold_back(&eu, other, 10_000);
        }
        let (table, stream) = (world.table(NAMES[1]), "acme/chat/some".parse().unwrap());
        let life = NAMES[0].parse().unwrap();
        let trickle = async {
            for first in 1.. {
                let put = table.put(layout::segment(&stream, &life, first), "late".into(), Expect::Absent);
                assert_eq!(put.await.unwrap(), Put::Done(1));
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
        };
        let gathering = world.regions.between.gather(&us, &eu, 1);
        let unsettled = tokio::select! {
            biased;
            ended = tokio::time::timeout(Duration::from_secs(3_600), gathering) => ended.expect("an end"),
            () = trickle => unreachable!("it goes on for ever"),
        };
        let Err(Error::Unsettled { looks, given }) = unsettled else { panic!("{unsettled:?}") };
        assert!(given >= u64::from(looks), "something at each of {looks} looks: {given}");
        assert!(!world.gathered(NAMES[0]).await && !world.gathered(NAMES[1]).await);
        world.regions.between.gather(&us, &eu, 1).await.unwrap();
        assert!(world.gathered(NAMES[0]).await && world.gathered(NAMES[2]).await);
    });
}
