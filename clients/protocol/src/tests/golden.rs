//! Golden bytes: at least one of each frame in protobuf. A difference is a change of the protocol, not of the
//! code.
//!
//! The bytes were also read, and written again equal, by Google's implementation from the schema alone.

use std::collections::BTreeSet;

use super::Frame;
use crate::encoding::Encoding;

/// Frames as JSON, each followed by its bytes in hex.
const GOLDEN: &str = include_str!("golden.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_frame_has_its_golden_bytes() {
    let lines: Vec<&str> = GOLDEN.lines().skip(1).collect();
    let mut names = BTreeSet::new();
    for pair in lines.chunks(2) {
        let frame = Frame::decode(Encoding::Json, pair[0].as_bytes()).unwrap();
        let bytes = frame.encode(Encoding::Protobuf);
        assert_eq!(hex(&bytes), pair[1], "{}", pair[0]);
        assert_eq!(Frame::decode(Encoding::Protobuf, &bytes).unwrap(), frame);
        assert_eq!(frame.encode(Encoding::Json), pair[0].as_bytes(), "every field is in its place");
        names.insert(frame.name());
    }
    assert_eq!(names, BTreeSet::from(super::document::FRAMES));
}
