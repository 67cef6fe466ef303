#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_origin_is_a_region_and_its_incarnation() {
    let region: Region = "us-east-1".parse().unwrap();
    assert_eq!(Origin::of(&region, 1).as_str(), "us-east-1");
    let second = Origin::of(&region, 2);
    assert_eq!(second.as_str(), "us-east-1~2");
    assert_eq!((second.region(), second.incarnation()), (region, 2));
    for bad in ["us-east-1~1", "us-east-1~02", "us-east-1~", "~2", "us-east-1~+2", "us-east-1~2~3", "US"] {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
}

#[test]
fn a_stream_id_has_exactly_three_parts() {
    let id: StreamId = "acme/chat/general".parse().unwrap();
    assert_eq!((id.tenant(), id.kind(), id.name()), ("acme", "chat", "general"));
    for bad in
        ["", "acme", "acme/chat", "acme/chat/a/b", "acme//a", "acme/chat/", "Acme/chat/a", "acme/chat/a b"]
    {
        assert!(bad.parse::<StreamId>().is_err(), "{bad}");
    }
    let longest = format!("acme/chat/{}", "x".repeat(245));
    assert!(longest.parse::<StreamId>().is_ok());
    assert_eq!(format!("{longest}x").parse::<StreamId>(), Err(Invalid::TooLong(255)));
}

#[test]
fn event_ids_are_uuids_of_version_seven() {
    let text = "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11";
    let id: EventId = text.parse().unwrap();
    assert_eq!(id.to_string(), text);
    assert_eq!(id.time_ms(), 0x01a1_fb1d_da00);
    assert_eq!(EventId::from_bytes(&id.to_bytes()), Ok(id));
    assert!("01a1fb1d-da00-4c1e-9a40-5f2d8b6e3a11".parse::<EventId>().is_err());
    assert!("01a1fb1d-da00-7c1e-ca40-5f2d8b6e3a11".parse::<EventId>().is_err());
    let minted = EventId::mint(0x01a1_fb1d_da00, u128::MAX);
    assert_eq!((EventId::new(minted.bits()), minted.time_ms()), (Ok(minted), 0x01a1_fb1d_da00));
    assert_ne!(
        EventId::mint(5, 1 << 62),
        EventId::mint(5, 0),
        "the version's neighbours carry randomness too"
    );
}

#[test]
fn users_may_have_any_printable_name() {
    assert!("ana@example.com".parse::<UserId>().is_ok());
    assert!("Änne Müller".parse::<UserId>().is_ok());
    assert_eq!("a\nb".parse::<UserId>(), Err(Invalid::Character));
    assert_eq!("x".repeat(129).parse::<UserId>(), Err(Invalid::TooLong(128)));
}
