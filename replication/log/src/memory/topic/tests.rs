use super::*;

/// The gallop finds what a plain search finds, for every offset, with holes and an expired beginning.
#[test]
fn a_position_is_found_wherever_it_is() {
    let config = Config { hole_per_mille: 400, ..Config::default() };
    let topic = "t".parse().unwrap_or_else(|_| unreachable!("a valid name"));
    let mut partition = Partition::new(Seed::named(7, "p"));
    for n in 0..300 {
        let record = Record {
            topic: Topic::clone(&topic),
            partition: 0,
            key: bytes::Bytes::new(),
            value: bytes::Bytes::new(),
            headers: crate::Headers::new(),
            timestamp_ms: n,
        };
        assert!(partition.append(record, &config, &mut Wakers::new()).is_ok());
    }
    partition.expire(50, &mut Wakers::new());
    let (earliest, end) = partition.extent();
    for from in earliest..=end {
        let plain = partition.entries.iter().position(|entry| entry.offset >= from);
        assert_eq!(partition.index_of(from), plain.unwrap_or(partition.visible), "{from}");
    }
}
