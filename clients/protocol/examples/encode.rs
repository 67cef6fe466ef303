//! What the hot paths of the protocol cost: the check of a payload, reading a publish, and encoding events
//! once.
//!
//! `cargo run --profile dist -p sterna-protocol --example encode` prints nanoseconds, the best of several
//! runs.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::time::Instant;

use sterna_protocol::frame::{Ack, Durability};
use sterna_protocol::{Encoding, EventRef, ServerFrame, json, payload, protobuf};
use sterna_stream::{EventId, Hlc, StreamId};

const RUNS: usize = 15;

fn main() {
    println!("payload check, ns (ns per byte)");
    for (name, text) in payloads() {
        assert_eq!(payload::check(text.as_bytes()), Ok(()), "{name}");
        let ours = measure(|| payload::check(black_box(text.as_bytes())).is_ok());
        let serde = measure(|| {
            serde_json::from_slice::<&serde_json::value::RawValue>(black_box(text.as_bytes())).is_ok()
        });
        let per_byte = ours / text.len() as f64;
        println!(
            "  {name:<28}{:>6} bytes {ours:>9.0} ({per_byte:.2})  serde_json RawValue {serde:>9.0}",
            text.len()
        );
    }

    println!("reading a publish, ns");
    for (name, text) in payloads() {
        let json = publish(&text);
        let frame = Encoding::Json.decode_client(json.as_bytes()).expect("a publish");
        for encoding in Encoding::ALL {
            let mut message = Vec::new();
            encoding.encode_client(&frame, &mut message);
            let read = measure(|| encoding.decode_client(black_box(&message)).is_ok());
            println!("  {name:<28}{encoding:<10?}{:>6} bytes {read:>9.0}", message.len());
        }
    }

    println!("encoding an events frame, ns");
    for count in [1, 16] {
        events(count);
    }
    println!("encoding an ack, ns");
    let ack = ServerFrame::Ack(Ack {
        event_ids: vec![EventId::mint(1_795_214_400_000, 7)],
        region: "us-east-1".parse().expect("a region"),
        durability: Durability::Region,
    });
    for encoding in Encoding::ALL {
        let mut out = Vec::with_capacity(256);
        let taken = measure(|| {
            out.clear();
            encoding.encode_server(black_box(&ack), &mut out);
            out.len()
        });
        println!("  {encoding:<10?}{:>6} bytes {taken:>9.0}", out.len());
    }
}

fn events(count: u64) {
    let stream: StreamId = "acme/chat/general".parse().expect("a stream");
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(239));
    let events: Vec<EventRef<'_>> = (1..=count)
        .map(|seq| EventRef {
            origin: "us-east-1",
            seq,
            hlc: Hlc::at(1_795_214_400_000),
            event_id: EventId::mint(1_795_214_400_000, seq.into()),
            author: "ana@example.com",
            kind: "message",
            payload: text.as_bytes(),
            erased: false,
            resend: false,
        })
        .collect();
    for encoding in Encoding::ALL {
        let mut out = Vec::with_capacity(64 * 1024);
        let taken = measure(|| {
            out.clear();
            match encoding {
                Encoding::Json => json::encode_events(&mut out, &stream, black_box(&events)),
                Encoding::Protobuf => protobuf::encode_events(&mut out, &stream, black_box(&events)),
            }
        });
        println!("  {count:>2} events of 250 bytes, {encoding:<10?}{:>6} bytes {taken:>9.0}", out.len());
    }
}

fn publish(payload: &str) -> String {
    let id = EventId::mint(1_795_214_400_000, 7);
    let head = format!(r#"{{"publish":{{"stream":"acme/chat/general","event_id":"{id}","kind":"message""#);
    format!(r#"{head},"payload":{payload}}}}}"#)
}

fn payloads() -> Vec<(&'static str, String)> {
    let keys: Vec<String> = (0..4_000).map(|k| format!("\"k{k:05}\":{k}")).collect();
    let row = |k| format!("{{\"id\":{k},\"name\":\"row {k}\",\"on\":true,\"at\":[1.5,-2e3,null]}}");
    let rows: Vec<String> = (0..200).map(row).collect();
    vec![
        ("short text", r#"{"text":"hi"}"#.to_owned()),
        ("250 bytes of text", format!("{{\"text\":\"{}\"}}", "x".repeat(239))),
        ("250 bytes of German", format!("{{\"text\":\"{}\"}}", "Grüße an alle, ".repeat(14))),
        ("rows of small values", format!("[{}]", rows.join(","))),
        ("one object of 4,000 keys", format!("{{{}}}", keys.join(","))),
        ("60 KiB of text", format!("\"{}\"", "x".repeat(60 * 1024 - 2))),
        ("60 KiB of escapes", format!("\"{}\"", "\\n".repeat(30 * 1024 - 1))),
        ("60 KiB of brackets", format!("[{}0]", "[],".repeat(20 * 1024 - 2))),
    ]
}

/// Nanoseconds of one call, the best of several runs.
fn measure<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut calls = 1;
    let mut best = f64::MAX;
    let mut run = 0;
    while run < RUNS {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        let took = start.elapsed().as_nanos() as f64;
        if took < 2_000_000.0 {
            calls *= 2;
            continue;
        }
        best = best.min(took / f64::from(calls));
        run += 1;
    }
    best
}
