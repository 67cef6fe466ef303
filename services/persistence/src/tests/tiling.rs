//! Goal: whatever the chains, spans and page sizes, the pages of a read tile what was asked for.
//! Method: random chains in a memory table, read page by page both ways, judged by a model that knows them.

use proptest::prelude::{Strategy, any, proptest};
use proptest::test_runner::Config;
use sterna_proto::record::Stored;
use sterna_proto::v1;

use super::{Chain, World, request, span};

const ORIGINS: [&str; 3] = ["a", "a~2", "b"];

#[derive(Clone, Debug)]
struct Case {
    sizes: Vec<Vec<usize>>,
    spans: Vec<(u64, u64)>,
    max_events: u32,
    max_bytes: u32,
    newest_first: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let chains = proptest::collection::vec(proptest::collection::vec(1..6usize, 0..90), ORIGINS.len());
    let spans = proptest::collection::vec((0..200u64, 0..200u64), ORIGINS.len());
    (chains, spans, 0..40u32, 0..2_000u32, any::<bool>()).prop_map(
        |(sizes, spans, max_events, max_bytes, newest_first)| Case {
            sizes,
            spans,
            max_events,
            max_bytes,
            newest_first,
        },
    )
}

/// What a reader is to be given of one chain: the segments that hold any seq of (after, upto].
fn model(chain: &[Stored], after: u64, upto: u64) -> Vec<u64> {
    let upto = if upto == 0 { u64::MAX } else { upto };
    let wanted = |s: &&Stored| s.segment.last() > after && s.segment.first <= upto && after < upto;
    chain.iter().filter(wanted).map(|stored| stored.segment.first).collect()
}

async fn pages_tile(case: Case) {
    let world = World::new();
    let chains: Vec<_> = (0..3).map(|n| Chain::of(ORIGINS[n]).sized(&case.sizes[n])).collect();
    let mut spans = Vec::new();
    for (n, chain) in chains.iter().enumerate() {
        world.put(chain).await;
        // A reader that names an end knows that the chain reaches it; else its absence is a hole.
        let head = chain.last().map_or(0, |stored| stored.segment.last());
        let (after, upto) = (case.spans[n].0, case.spans[n].1.min(head));
        spans.push(span(ORIGINS[n], after, upto));
    }
    let asked = spans.clone();
    let mut got: Vec<Stored> = Vec::new();
    for _ in 0..1_000 {
        let answer = world
            .read(v1::ReadRequest {
                newest_first: case.newest_first,
                max_events: case.max_events,
                max_bytes: case.max_bytes,
                ..request(&spans)
            })
            .await;
        assert_eq!(answer.holes, [], "no hole in whole chains");
        got.extend(answer.records.into_iter().map(|bytes| Stored::decode(bytes).unwrap()));
        spans = answer.remaining;
        if spans.is_empty() {
            break;
        }
    }
    assert_eq!(spans, [], "a read comes to its end");
    for (n, chain) in chains.iter().enumerate() {
        let of = |s: &&Stored| s.segment.origin.as_str() == ORIGINS[n];
        let mut firsts: Vec<u64> = got.iter().filter(of).map(|stored| stored.segment.first).collect();
        if case.newest_first {
            firsts.reverse();
        }
        assert_eq!(firsts, model(chain, asked[n].after, asked[n].upto), "{}", ORIGINS[n]);
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    /// E17: pages of random sizes give each segment of random spans once, in order.
    #[test]
    fn pages_of_random_chains_tile_their_spans(case in cases()) {
        sterna_process::paused(pages_tile(case));
    }
}
