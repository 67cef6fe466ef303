//! The same promise where polls run on several threads at once, as in production.

use std::time::Duration;

use bytes::Bytes;
use sterna_process::{End, Way};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::Pair;
use crate::echo::{EchoClient, WAIT};

const SOON: Duration = Duration::from_secs(20);

/// Calls until a call fails: quick ones, slow ones, or messages on one stream.
async fn call_until_refused(kind: usize, mut client: EchoClient) -> Code {
    if kind == 2 {
        let (sender, messages) = mpsc::channel(1);
        let mut answers = match client.chat(ReceiverStream::new(messages)).await {
            Ok(answers) => answers,
            Err(status) => return status.code(),
        };
        loop {
            // A refused send is told by the answers, too.
            let _ = sender.send(Bytes::from_static(b"more")).await;
            match answers.next().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => return status.code(),
                None => return Code::Ok,
            }
        }
    }
    let request = if kind == 0 { vec![9; 100] } else { vec![WAIT, 200] };
    loop {
        if let Err(status) = client.say(Bytes::from(request.clone())).await {
            return status.code();
        }
    }
}

/// E34: a kill that races with calls on other threads: every caller learns of it, and nobody hangs.
#[test]
fn a_crash_races_with_calls_on_other_threads() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build().unwrap();
    for round in 0..60u64 {
        let way = Way::ALL[usize::try_from(round % 3).unwrap()];
        runtime.block_on(async {
            let pair = Pair::new(way).await;
            let (sender, mut codes) = mpsc::channel(16);
            for kind in [0, 1, 2, 0, 1, 2] {
                let (client, sender) = (pair.client.clone(), sender.clone());
                pair.caller.spawn("calls", End::Expected, async move {
                    let code = call_until_refused(kind, client).await;
                    sender.send(code).await.unwrap();
                });
            }
            drop(sender);
            // Some rounds die amid the first calls, some later, some from outside.
            match round % 4 {
                0 => pair.callee.die_at_poll(1 + round),
                1 => pair.callee.die_at_poll(20 * round),
                _ => {
                    for _ in 0..round {
                        tokio::task::yield_now().await;
                    }
                    pair.callee.kill();
                }
            }
            let mut seen = 0;
            while let Some(code) = tokio::time::timeout(SOON, codes.recv()).await.expect("a caller hangs") {
                assert_eq!(code, Code::Unavailable, "{way:?} round {round}");
                seen += 1;
            }
            assert_eq!(seen, 6);
            pair.caller.kill();
        });
    }
}
