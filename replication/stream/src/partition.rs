//! Which partition a stream's records go to: our own hash, never a client library's (E28).
//!
//! The value is stored in topics for ever, so the function is documented to the bit and golden-tested: FNV-1a
//! with 64 bits over the id's bytes, folded by xor of its halves, modulo the number of partitions. Audit
//! streams `<tenant>/audit/p<k>` are pinned to partition k.

use crate::ids::StreamId;

/// The partition of `stream` among `partitions` (at least 1).
pub fn of(stream: &StreamId, partitions: u16) -> u16 {
    let partitions = partitions.max(1);
    if let Some(pinned) = pinned(stream) {
        return pinned % partitions;
    }
    let hash = fnv1a(stream.as_str().as_bytes());
    let folded = (hash >> 32) ^ (hash & 0xffff_ffff);
    (folded % u64::from(partitions)) as u16
}

fn pinned(stream: &StreamId) -> Option<u16> {
    let number = (stream.kind() == "audit").then(|| stream.name().strip_prefix('p')).flatten()?;
    let canonical = number == "0" || !number.starts_with(['0', '+']);
    canonical.then(|| number.parse().ok()).flatten()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    // Offset basis and prime of the 64 bit variant: RFC 9923, section 5.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn partition(id: &str, partitions: u16) -> u16 {
        of(&id.parse().unwrap(), partitions)
    }

    /// E28: these numbers are stored in every log; a change here loses streams.
    #[test]
    fn golden_partitions_never_change() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8, "a published vector of the function");
        let golden = [
            "acme/chat/general",
            "acme/chat/new",
            "acme/files/q3",
            "system/control/main",
            "acme/access/main",
        ];
        let partitions: Vec<u16> = golden.iter().map(|id| partition(id, 16)).collect();
        assert_eq!(partitions, GOLDEN);
    }

    const GOLDEN: [u16; 5] = [15, 4, 3, 3, 4];

    /// E28: one exception.
    #[test]
    fn audit_streams_are_pinned_to_their_partition() {
        for k in 0..16 {
            assert_eq!(partition(&format!("acme/audit/p{k}"), 16), k);
        }
        assert_eq!(partition("acme/chat/p3", 16), partition("acme/chat/p3", 16));
        assert_eq!(pinned(&"acme/audit/p03".parse().unwrap()), None);
        assert_eq!(pinned(&"acme/audit/main".parse().unwrap()), None);
    }

    #[test]
    fn streams_spread_evenly() {
        let mut counts = [0u32; 16];
        for n in 0..16_000 {
            counts[usize::from(partition(&format!("acme/chat/room-{n}"), 16))] += 1;
        }
        assert!(counts.iter().all(|&n| (800..1_200).contains(&n)), "{counts:?}");
    }
}
