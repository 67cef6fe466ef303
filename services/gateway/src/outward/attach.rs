//! The attachment to one state instance: wishes out, joins and pushes in (E15).
//!
//! Whenever the stream ends, for whatever reason, it is opened again and all interest is told anew: the
//! answers carry heads, and a ring that is behind one pulls what it missed. On a timer, some streams at a
//! time, heads are compared, and what is not joined is followed once more; an instance that answers nothing
//! for a round, neither a follow nor a comparison, or takes no more wishes, is given up (E16). What comes in
//! is read before anything is wished for: wishes never hold it up, however many answers they bring.

use std::collections::VecDeque;
use std::rc::Rc;

use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1::attach_down::What;
use sterna_proto::v1::attach_up;
use sterna_proto::v1::state_client::StateClient;
use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, StreamId, mutant, partition};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::compare::{Comparison, Question};
use super::sessions::in_runs;
use super::silence::Silence;
use super::{Changed, STREAMS_AT_ONCE, pause};
use crate::gateway::Inner;
use crate::registered::ROWS;

/// Messages to one state instance that wait for the stream.
const WISHES: usize = 64;
/// Messages read before a wish that has a place is sent: a shard that is told more than it can read still
/// gets a word in.
const READS: usize = 64;
/// How long a turn of the comparison of heads is (E16).
const TURN: Duration = Duration::from_secs(1);

/// Keeps the shard attached to the instance behind `link`, for the shard's life.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: Rc<Inner<S>>,
    at: usize,
    link: Link,
) {
    let mut rng = inner.process.rng(&format!("attach {at}"));
    loop {
        let round = inner.config.limits.compare_s.max(2);
        let comparison = Comparison::after(rand::RngExt::random_range(&mut rng, round / 2..round), round);
        let first = TURN.mul_f64(rand::RngExt::random_range(&mut rng, 0.0..1.0));
        let mut turns = tokio::time::interval_at(Instant::now() + first, TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Err(why) = attached(&inner, at, link.clone(), comparison, turns).await {
            tracing::info!(at, why, "attaching to state again");
        }
        pause(&mut rng).await;
    }
}

/// One attachment, until it ends.
async fn attached<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Rc<Inner<S>>,
    at: usize,
    link: Link,
    mut comparison: Comparison,
    mut turns: Interval,
) -> Result<(), String> {
    let (wishes, queue) = mpsc::channel(WISHES);
    let attaching = attach_up::What::Attaching(v1::Attaching { shard: inner.config.name.clone() });
    wishes.try_send(v1::AttachUp { what: Some(attaching) }).map_err(|_| "a new queue is full")?;
    let mut client = StateClient::new(link.own_connection());
    let answer = client.attach(ReceiverStream::new(queue)).await.map_err(|status| status.to_string())?;
    let mut downs = answer.into_inner();
    // What was wished of streams is told anew; news of sessions is told once.
    let before = inner.outward.wishes[at].changed.take();
    let mut due: VecDeque<attach_up::What> = follow(&followed(inner)).collect();
    due.extend(watch(&inner.watched()));
    due.extend(sessions(before.sessions, before.renewals));
    inner.outward.changes.all_passed();
    inner.list_all_again();
    let (mut expected, mut reads) = (1, 0);
    let mut silence = Silence::of(comparison.round);
    loop {
        tokio::select! {
            biased;
            down = downs.message() => {
                let down = down.map_err(|status| status.to_string())?.ok_or("the stream ended")?;
                if down.n != expected && !mutant!("push_without_number") {
                    return Err(format!("push {} came where {expected} was due", down.n));
                }
                expected += 1;
                if matches!(down.what, Some(What::Joined(_) | What::Compared(_))) {
                    silence.answered();
                }
                if let Some(What::Resync(resync)) = &down.what {
                    due.extend(follow(&concerned(inner, resync)));
                    due.extend(watch(&inner.watched()));
                } else {
                    inner.take(down.what);
                }
                reads += 1;
                if reads % READS == 0 && !due.is_empty() && let Ok(place) = wishes.try_reserve() {
                    send_first(&mut due, place, &mut silence);
                }
            }
            place = wishes.reserve(), if !due.is_empty() => {
                send_first(&mut due, place.map_err(|_| "the stream is closed")?, &mut silence);
            }
            () = inner.outward.wishes[at].wake.notified(), if due.is_empty() => {
                due.extend(told(inner.outward.wishes[at].changed.take()));
            }
            _ = turns.tick() => {
                silence.turn(!due.is_empty()).map_err(|silent| silent.to_string())?;
                if due.is_empty() {
                    let mut asked = comparison.turn(|| followed(inner));
                    asked.retain(|asked| inner.outward.wants(&asked.stream));
                    due.extend(compare(inner, asked));
                }
            }
        }
    }
}

/// Sends the first wish that waits.
fn send_first(
    due: &mut VecDeque<attach_up::What>,
    place: mpsc::Permit<'_, v1::AttachUp>,
    silence: &mut Silence,
) {
    if let Some(wish) = due.pop_front() {
        silence.taken(&wish);
        place.send(v1::AttachUp { what: Some(wish) });
    }
}

/// All streams that somebody here follows.
fn followed<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: &Inner<S>) -> Vec<StreamId> {
    inner.shard.heads().into_iter().map(|(stream, _)| stream).collect()
}

fn concerned<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Inner<S>,
    resync: &v1::Resync,
) -> Vec<StreamId> {
    let partitions = inner.config.partitions;
    let all = inner.shard.heads().into_iter().map(|(stream, _)| stream);
    let moved = |s: &StreamId| resync.partitions.contains(&partition::of(s, partitions).into());
    all.filter(|stream| resync.partitions.is_empty() || moved(stream)).collect()
}

fn told(changed: Changed) -> impl Iterator<Item = attach_up::What> {
    let (on, off): (Vec<StreamId>, Vec<StreamId>) =
        changed.order.into_iter().partition(|stream| changed.on.get(stream) == Some(&true));
    let off: Vec<attach_up::What> =
        off.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Unfollow(names(streams))).collect();
    let on: Vec<attach_up::What> = follow(&on).collect();
    let watched =
        |on: bool| changed.watch.iter().filter(move |(_, is)| **is == on).map(|(stream, _)| stream.clone());
    let (begun, ended): (Vec<StreamId>, Vec<StreamId>) = (watched(true).collect(), watched(false).collect());
    let ended: Vec<attach_up::What> =
        ended.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Unwatch(names(streams))).collect();
    off.into_iter()
        .chain(on)
        .chain(sessions(changed.sessions, changed.renewals))
        .chain(ended)
        .chain(watch(&begun).collect::<Vec<_>>())
        .chain(changed.ephemeral.into_iter().map(attach_up::What::Ephemeral))
}

fn watch(streams: &[StreamId]) -> impl Iterator<Item = attach_up::What> {
    streams.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Watch(names(streams)))
}

fn sessions(news: Vec<(bool, v1::SessionRow)>, renewals: Vec<v1::SessionRow>) -> Vec<attach_up::What> {
    let told = in_runs(news).into_iter().map(|(opened, rows)| match opened {
        true => attach_up::What::Opened(rows),
        false => attach_up::What::Closed(rows),
    });
    let renewal = |rows: &[v1::SessionRow]| v1::SessionRows { sessions: rows.to_vec(), renewal: true };
    // Renewals first: what closed after they were gathered must not be renewed behind its closing.
    renewals.chunks(ROWS).map(|rows| attach_up::What::Opened(renewal(rows))).chain(told).collect()
}

fn follow(streams: &[StreamId]) -> impl Iterator<Item = attach_up::What> {
    streams.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Follow(names(streams)))
}

/// Streams that are joined with how far they are here; all others are to be followed, once more.
fn compare<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Inner<S>,
    asked: Vec<Question>,
) -> impl Iterator<Item = attach_up::What> + use<S> {
    let (mut heads, mut open) = (Vec::new(), Vec::new());
    for Question { stream, look } in asked {
        match inner.shard.joined_head(&stream) {
            Some(head) => {
                let newest = inner.outward.newest_stamp(&stream).0;
                let (stream, head) = (stream.to_string(), convert::cursor_field(&head));
                heads.push(v1::HeadOf { stream, head, newest, looked_lately: !look });
            }
            None => open.push(stream),
        }
    }
    let heads: Vec<attach_up::What> = (heads.chunks(STREAMS_AT_ONCE))
        .map(|heads| attach_up::What::Compare(v1::Heads { heads: heads.to_vec() }))
        .collect();
    heads.into_iter().chain(follow(&open).collect::<Vec<_>>())
}

fn names(streams: &[StreamId]) -> v1::Streams {
    v1::Streams { streams: streams.iter().map(ToString::to_string).collect() }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    fn take(self: &Rc<Self>, what: Option<What>) {
        match what {
            Some(What::Joined(joined)) if !joined.not_owner => {
                let head = convert::cursor(joined.head.as_ref());
                let known = convert::cursor(joined.known.as_ref());
                match (joined.stream.parse(), head, known) {
                    (Ok(stream), Ok(head), Ok(known)) => {
                        self.outward.stamped(&stream, Hlc(joined.newest));
                        self.joined(stream, head, known);
                    }
                    _ => tracing::error!("state answered what is no head"),
                }
            }
            Some(What::Push(push)) => match Stored::decode(push.record) {
                Ok(stored) => self.pushed(stored.segment, push.recheck),
                Err(error) => tracing::error!(%error, "state pushed what is no segment"),
            },
            Some(What::Ephemeral(ephemeral)) => self.ephemeral(&ephemeral),
            Some(What::Covered(covered)) => self.covered(&covered),
            Some(What::End(ended)) => self.end_registered(&ended),
            Some(What::Members(changed)) => {
                self.tenant_changed(&changed);
                self.members_changed(&changed);
            }
            Some(What::Presence(presence)) => self.present(&presence),
            Some(What::Joined(_) | What::Compared(_) | What::Resync(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E16: a session that closed is not registered again by a renewal that was gathered before.
    #[test]
    fn a_closing_is_told_behind_the_renewals_gathered_before_it() {
        let row = |session: &str| v1::SessionRow { session: session.into(), ..v1::SessionRow::default() };
        let news = vec![(true, row("2.1")), (false, row("1.1")), (false, row("2.1")), (true, row("3.1"))];
        let told = sessions(news, vec![row("1.1"), row("2.1")]);
        let words = told.iter().map(|what| match what {
            attach_up::What::Opened(rows) if rows.renewal => format!("renewed {}", rows.sessions.len()),
            attach_up::What::Opened(rows) => format!("opened {}", rows.sessions.len()),
            attach_up::What::Closed(rows) => format!("closed {}", rows.sessions.len()),
            other => panic!("{other:?}"),
        });
        assert_eq!(words.collect::<Vec<_>>(), ["renewed 2", "opened 1", "closed 2", "opened 1"]);
    }
}
