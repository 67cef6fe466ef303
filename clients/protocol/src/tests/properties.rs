//! What holds for any frame and for any bytes.

use proptest::prelude::*;

use super::{Frame, generate};
use crate::encoding::Encoding;

proptest! {
    #[test]
    fn any_frame_comes_back_from_both_encodings_and_has_one_text(frame in generate::frame()) {
        for encoding in Encoding::ALL {
            let bytes = frame.encode(encoding);
            let same = match &frame {
                Frame::Client(_) => encoding.decode_client(&bytes).map(Frame::Client),
                Frame::Server(_) => encoding.decode_server(&bytes).map(Frame::Server),
            };
            let same = same.unwrap();
            prop_assert_eq!(&same, &frame);
            prop_assert_eq!(same.encode(encoding), bytes);
        }
        let json = frame.encode(Encoding::Json);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in Encoding::ALL {
            let _ = encoding.decode_client(&bytes);
            let _ = encoding.decode_server(&bytes);
        }
    }

    #[test]
    fn no_damage_to_a_frame_makes_a_decoder_panic(
        frame in generate::frame(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for encoding in Encoding::ALL {
            let mut bytes = frame.encode(encoding);
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            for message in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                if let Ok(read) = Frame::decode(encoding, message) {
                    let again = read.encode(encoding);
                    prop_assert_eq!(Frame::decode(encoding, &again).unwrap(), without_malformed(read));
                }
            }
        }
    }
}

/// What decoding found wrong in a `subscribe` is never encoded.
fn without_malformed(mut frame: Frame) -> Frame {
    if let Frame::Client(crate::ClientFrame::Subscribe(subscribe)) = &mut frame {
        subscribe.malformed.clear();
    }
    frame
}
