#![allow(clippy::unwrap_used)]

use sterna_stream::{Hlc, Policy, Position, Segment};

use super::*;

fn job(first: u64) -> Job {
    let stored = Stored::new(Segment {
        stream: "acme/chat/a".parse().unwrap(),
        origin: "eu-west-1".parse().unwrap(),
        first,
        stamps: vec![Hlc(first), Hlc(first + 1)].into(),
        bodies: vec![Bytes::new(), Bytes::new()].into(),
        from: Position { incarnation: 1, partition: 0, offset: first },
        policy: Policy::default(),
        prefix: sterna_stream::digest::Prefix::START,
        members: Vec::new(),
        member_before: 0,
    });
    Job::new(Ticket { partition: 0, generation: 1, from: From::Topic(1), number: first }, &stored)
}

/// E20: nothing leaves a tail before it is in the table: a chain is held up to its first open job only,
/// whichever is done first.
#[tokio::test(start_paused = true)]
async fn a_chain_is_held_up_to_its_first_open_job() {
    let queue = Queue::default();
    let now = Instant::now();
    for first in [1, 3, 5] {
        queue.add(job(first), now);
    }
    let jobs = queue.due().await;
    let (first, rest) = jobs.split_first().unwrap();
    assert_eq!(queue.finish(rest[0].0, &rest[0].1), 0, "the first is open");
    assert_eq!(queue.finish(first.0, &first.1), 2, "the third is");
    assert_eq!(queue.finish(rest[1].0, &rest[1].1), 6);
    assert!(queue.lock().open.is_empty(), "nothing is remembered of a chain that is done");
    assert_eq!(queue.finished().await.len(), 3);
}

/// E24: a job that is due at once overtakes those with a grace time, also while they are waited for.
#[tokio::test(start_paused = true)]
async fn what_is_due_first_is_taken_first() {
    let queue = Queue::default();
    let began = Instant::now();
    queue.add(job(1), began + GRACE);
    let urgent = async {
        tokio::time::sleep(AGAIN).await;
        queue.add(job(3), Instant::now());
    };
    let (due, ()) = tokio::join!(queue.due(), urgent);
    assert_eq!((due[0].1.first, due.len(), began.elapsed()), (3, 1, AGAIN));
    assert_eq!(queue.due().await[0].1.first, 1);
    assert_eq!(began.elapsed(), GRACE);
}

/// E20: what came by mirror takes over the job for what came of it by express, once; one that is being made
/// sure of is left alone.
#[tokio::test(start_paused = true)]
async fn the_mirrors_copy_takes_over() {
    let queue = Queue::default();
    let now = Instant::now();
    let expressed = |first| {
        let mirrored = job(first);
        Job { ticket: Ticket { from: From::Express, ..mirrored.ticket.clone() }, ..mirrored }
    };
    assert!(queue.add(expressed(1), now + GRACE).is_none());
    assert!(queue.add(expressed(3), now + GRACE).is_none());
    let superseded = queue.add(job(1), now + GRACE).unwrap();
    assert_eq!((superseded.ticket.number, superseded.ticket.from), (1, From::Express));
    assert!(queue.add(job(1), now + GRACE).is_none(), "a replay finds nothing");
    let due = queue.due().await;
    assert_eq!(due.iter().map(|(_, job)| job.first).collect::<Vec<_>>(), [3, 1, 1]);
    assert!(queue.add(job(3), now).is_none(), "it is on its way");
    queue.again(due[0].0, expressed(3));
    assert!(queue.add(job(3), now).is_some(), "it waits again");
    assert_eq!(queue.lock().express.len(), 0);
}
