//! The ways past the generated code lead to where it leads.

use proptest::prelude::*;

use super::{Frame, generate};
use crate::encoding::Encoding;
use crate::protobuf::{decode_client, decode_generally, encode_generally};

proptest! {
    #[test]
    fn what_is_read_or_written_straight_is_what_the_messages_give(
        frame in generate::frame(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = frame.encode(Encoding::Protobuf);
        if let Frame::Server(frame) = &frame {
            let mut generally = Vec::new();
            encode_generally(frame, &mut generally);
            prop_assert_eq!(&bytes, &generally);
        }
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        prop_assert_eq!(decode_client(&bytes), decode_generally(&bytes));
    }
}
