//! A list that is longer than a frame goes in several, each of which fits in both encodings.

use sterna_stream::limits::{CURSOR_ORIGINS, FRAME_BYTES, PRESENCE_USERS, REGION_BYTES, SEQ_MAX, USER_BYTES};
use sterna_stream::{Cursor, Origin, Region, StreamId};

use super::Frame;
use crate::encoding::Encoding;
use crate::frame::{
    ClientFrame, Cursors, Head, Presence, PresenceState, ServerFrame, Stored, Subscribe, Subscribed,
    Subscription, Unsubscribe, UserPresence,
};
use crate::limits::Limits;

/// As many streams as a session may follow, each with the longest id and the longest cursor.
fn longest() -> Vec<(StreamId, Cursor)> {
    let origin = |n: usize| {
        let region: Region = format!("{n:02}{}", "r".repeat(REGION_BYTES - 2)).parse().unwrap();
        (Origin::of(&region, u32::MAX), SEQ_MAX)
    };
    let cursor: Cursor = (0..CURSOR_ORIGINS).map(origin).collect();
    let streams = 0..Limits::default().max_subscriptions;
    streams.map(|n| (format!("acme/chat/{n:0245}").parse().unwrap(), cursor.clone())).collect()
}

fn fit(frames: &[Frame]) {
    assert!(frames.len() > 1);
    for frame in frames {
        for encoding in Encoding::ALL {
            let bytes = frame.encode(encoding);
            assert!(bytes.len() <= FRAME_BYTES, "{} of {} bytes", frame.name(), bytes.len());
            assert_eq!(Frame::decode(encoding, &bytes).as_ref(), Ok(frame));
        }
    }
    let used: usize = frames.iter().map(|frame| frame.encode(Encoding::Json).len()).sum();
    assert!(used / frames.len() > FRAME_BYTES / 2, "frames are filled: {used} bytes in {}", frames.len());
}

/// E29: `max_subscriptions` streams can be followed, stored, left and answered, whatever they are called.
#[test]
fn long_lists_of_streams_are_cut_and_nothing_is_lost() {
    let asked = longest().into_iter().map(|(stream, cursor)| {
        let (cursor, tail) = (Some(cursor), Some(u32::MAX));
        Subscription { stream, cursor, tail, presence: true }
    });
    let whole =
        Subscribe { streams: asked.collect(), mine: true, tail: Some(u32::MAX), malformed: Vec::new() };
    let frames = whole.clone().into_frames();
    let joined: Vec<Subscription> = frames.iter().flat_map(|frame| frame.streams.clone()).collect();
    assert_eq!(joined, whole.streams);
    assert_eq!(frames.iter().filter(|frame| frame.mine).count(), 1, "asked for once");
    fit(&frames.into_iter().map(|frame| Frame::Client(ClientFrame::Subscribe(frame))).collect::<Vec<_>>());

    let streams = longest().into_iter().map(|(stream, _)| stream).collect();
    let frames = Unsubscribe { streams }.into_frames();
    fit(&frames.into_iter().map(|frame| Frame::Client(ClientFrame::Unsubscribe(frame))).collect::<Vec<_>>());

    let streams = longest().into_iter().map(|(stream, cursor)| Stored { stream, cursor }).collect();
    let frames = Cursors { streams }.into_frames();
    fit(&frames.into_iter().map(|frame| Frame::Client(ClientFrame::Cursor(frame))).collect::<Vec<_>>());

    let heads = longest().into_iter();
    let streams = heads.map(|(stream, head)| Head { stream, known: head.clone(), head }).collect();
    let frames = Subscribed { streams }.into_frames();
    fit(&frames.into_iter().map(|frame| Frame::Server(ServerFrame::Subscribed(frame))).collect::<Vec<_>>());
}

#[test]
fn a_long_list_of_users_is_one_full_presence_and_additions_to_it() {
    let user = |n: usize| UserPresence {
        user: format!("{n:03}{}", "\"".repeat(USER_BYTES - 3)).parse().unwrap(),
        state: PresenceState::Unknown,
        since_unix_ms: Some(SEQ_MAX),
    };
    let users = (0..PRESENCE_USERS).map(user).collect();
    let whole = Presence { stream: longest().remove(0).0, full: true, online: u32::MAX, users };
    let frames = whole.into_frames();
    let full: Vec<bool> = frames.iter().map(|frame| frame.full).collect();
    assert!(full[0] && full[1..].iter().all(|full| !full));
    fit(&frames.into_iter().map(|frame| Frame::Server(ServerFrame::Presence(frame))).collect::<Vec<_>>());
}

#[test]
fn what_fits_stays_one_frame_even_if_it_is_empty() {
    assert_eq!(Subscribe { mine: true, ..Subscribe::default() }.into_frames().len(), 1);
    assert_eq!(Unsubscribe::default().into_frames(), [Unsubscribe::default()]);
}
