//! Two people in two terminals in two regions; a region loses its gateway, a terminal is killed, and nothing
//! is missing and nothing is there twice. Real sockets, so nothing runs in paused time: what a terminal shows
//! is looked at again and again, with a bound.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::path::PathBuf;
use std::sync::Arc;

use sterna::demo::Options;
use sterna::demo::world::World;
use sterna_cluster::region::Place;
use sterna_process::{Clock, ManualClock, Process, SystemClock};
use tokio::runtime::{Builder, LocalOptions};

#[path = "terminal/terminal.rs"]
mod terminal;

use terminal::{Person, chat};

/// Two regions that listen.
fn two_regions(owner: &Process) -> World {
    let regions = vec!["us-east-1".parse().unwrap(), "eu-west-1".parse().unwrap()];
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let options = Options { regions, listen, ..Options::default() };
    World::start(&options, &ManualClock::new(SystemClock.wall_ms()), owner).unwrap()
}

fn process(name: &str) -> Process {
    Process::new(name, 1, Arc::new(SystemClock))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test);
}

async fn stream_of(person: &Person) -> String {
    person.terminal.shows("-- live").await;
    let shown = person.terminal.0.borrow();
    shown.lines().next().unwrap().strip_prefix("stream ").unwrap().to_owned()
}

async fn says(person: &Person, text: &str) {
    person.types.send(text.to_owned()).await.unwrap();
}

/// Each of these stands there exactly once, in this order.
fn once_and_in_order(person: &Person, lines: &[&str]) {
    let shown = person.terminal.0.borrow();
    let said: Vec<&str> = shown.lines().filter(|line| lines.contains(line)).collect();
    assert_eq!(said, lines, "{shown}");
}

/// G2, G3: whose region goes away talks on in another, and misses nothing.
#[test]
fn a_chat_goes_on_in_another_region_when_its_own_is_gone() {
    run(async {
        let owner = process("test");
        let world = two_regions(&owner);
        let (us, eu) = (world.url(0).to_owned(), world.url(1).to_owned());
        let ana = chat(&owner, &[&us, &eu], "ana", None, None);
        let stream = stream_of(&ana).await;
        ana.terminal.shows("-- in us-east-1 as ana").await;
        let bo = chat(&owner, &[&eu, &us], "bo", Some(&stream), None);
        bo.terminal.shows("-- live").await;
        bo.terminal.shows("-- in eu-west-1 as bo").await;
        says(&ana, "one").await;
        bo.terminal.shows("ana: one").await;
        world.kill(0, Place::Gateway(0));
        ana.terminal.shows("-- connection lost, coming back").await;
        says(&ana, "two").await;
        says(&bo, "three").await;
        ana.terminal.shows("-- in eu-west-1 as ana").await;
        bo.terminal.shows("ana: two").await;
        ana.terminal.shows("bo: three").await;
        ana.terminal.shows("ana: two").await;
        says(&bo, "four").await;
        ana.terminal.shows("bo: four").await;
        says(&ana, "five").await;
        bo.terminal.shows("ana: five").await;
        for text in ["ana: one", "ana: two", "bo: three", "bo: four", "ana: five"] {
            assert_eq!(ana.terminal.0.borrow().matches(text).count(), 1, "{}", ana.terminal.0.borrow());
            assert_eq!(bo.terminal.0.borrow().matches(text).count(), 1, "{}", bo.terminal.0.borrow());
        }
        world.end().await;
    });
}

/// G2, G3: a chat that was killed in the middle and comes back against another region, with what it had
/// stored, shows what it missed, all of it and nothing else.
#[test]
fn a_killed_chat_comes_back_in_another_region_without_hole_or_repetition() {
    run(async {
        let owner = process("test");
        let world = two_regions(&owner);
        let (us, eu) = (world.url(0).to_owned(), world.url(1).to_owned());
        let file = std::env::temp_dir().join(format!("sterna-chat-{}.device", std::process::id()));
        let device = || Some::<PathBuf>(file.clone());
        let ana = chat(&owner, &[&us], "ana", None, None);
        let stream = stream_of(&ana).await;
        let killed = process("bo's first terminal");
        let bo = chat(&killed, &[&us], "bo", Some(&stream), device());
        bo.terminal.shows("-- live").await;
        says(&ana, "one").await;
        bo.terminal.shows("ana: one").await;
        killed.kill();
        // More than the history that a new terminal asks for.
        let missed: Vec<String> = (0..60).map(|n| format!("missed {n:02}")).collect();
        for text in &missed {
            says(&ana, text).await;
            ana.terminal.shows(&format!("ana: {text}")).await;
        }
        let bo = chat(&owner, &[&eu], "bo", Some(&stream), device());
        bo.terminal.shows("ana: missed 59").await;
        says(&bo, "here again").await;
        ana.terminal.shows("bo: here again").await;
        let lines: Vec<String> = missed.iter().map(|text| format!("ana: {text}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        once_and_in_order(&bo, &lines);
        assert!(!bo.terminal.0.borrow().contains("ana: one"), "{}", bo.terminal.0.borrow());
        bo.terminal.shows("-- in eu-west-1 as bo").await;
        says(&bo, "/quit").await;
        bo.ended.await.unwrap().unwrap();
        world.end().await;
        std::fs::remove_file(&file).unwrap();
    });
}
