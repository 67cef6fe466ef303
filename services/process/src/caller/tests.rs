use super::*;

fn keys(keys: &[&str]) -> CallerKeys {
    CallerKeys::new(keys).unwrap()
}

#[test]
fn a_signed_caller_is_verified_by_every_accepted_key() {
    let caller = Caller::new("gateway", "eu-west-1~2").unwrap();
    let old = keys(&["an old key of 24 bytes !!"]).sign(&caller);
    let both = keys(&["a new key of 24 bytes !!!", "an old key of 24 bytes !!"]);
    for value in [&old, &old, &both.sign(&caller)] {
        assert_eq!(both.verify(value), Some(caller.clone()));
    }
    assert_eq!(keys(&["a new key of 24 bytes !!!"]).verify(&old), None, "rotated out");
}

/// Every single changed character of the value is a forgery.
#[test]
fn a_changed_value_is_refused() {
    let keys = keys(&["0123456789abcdef"]);
    let value = keys.sign(&Caller::new("gateway", "us-east-1").unwrap());
    let text = value.to_str().unwrap();
    for at in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(keys.verify(&HeaderValue::from_bytes(&bytes).unwrap()), None, "character {at}");
    }
    for value in ["", "AA", "not base64!", "////"] {
        assert_eq!(keys.verify(&HeaderValue::from_static(value)), None, "{value:?}");
    }
}

/// The two names cannot be shifted into each other: lengths are under the MAC.
#[test]
fn role_and_region_do_not_run_together() {
    let keys = keys(&["0123456789abcdef"]);
    let one = keys.sign(&Caller::new("state", "xeu").unwrap());
    let two = keys.sign(&Caller::new("statex", "eu").unwrap());
    assert_ne!(one, two);
    assert_eq!(keys.verify(&two).unwrap().role(), "statex");
}

/// The wire form is read by other versions during a rollout.
#[test]
fn the_header_is_golden() {
    let value = keys(&["0123456789abcdef"]).sign(&Caller::new("state", "eu-west-1").unwrap());
    assert_eq!(value.to_str().unwrap(), "BXN0YXRlCWV1LXdlc3QtMak8jB4H/wGnwKYcpcwKURH3IQ/8ZpnB0pLVtXGj3xYx");
}

#[test]
fn what_is_remembered_is_bounded_and_stays_right() {
    let keys = keys(&["0123456789abcdef"]);
    for n in 0..3 * REMEMBERED_MAX {
        let caller = Caller::new("gateway", &format!("region-{n}")).unwrap();
        let value = keys.sign(&caller);
        assert_eq!(keys.verify(&value), Some(caller.clone()));
        assert_eq!(keys.verify(&value), Some(caller));
        assert!(keys.0.remembered.read().unwrap().len() <= REMEMBERED_MAX);
    }
}

#[test]
fn unusable_keys_and_names_are_named() {
    assert_eq!(CallerKeys::new::<&str>(&[]).unwrap_err(), CallerError::NoKey);
    assert_eq!(CallerKeys::new(&["0123456789abcde"]).unwrap_err(), CallerError::ShortKey);
    assert_eq!(Caller::new("", "eu").unwrap_err(), CallerError::Name);
    assert_eq!(Caller::new("state", &"x".repeat(256)).unwrap_err(), CallerError::Name);
    assert!(Caller::new(&"x".repeat(255), "eu").is_ok());
}

#[test]
fn a_role_may_only_do_what_is_listed_for_it() {
    let caller = Caller::new("gateway", "eu-west-1").unwrap();
    assert!(caller.must_be(&["messaging", "gateway"]).is_ok());
    assert_eq!(caller.must_be(&["messaging"]).unwrap_err().code(), tonic::Code::PermissionDenied);
    let mut request = tonic::Request::new(());
    assert_eq!(Caller::of(&request).unwrap_err().code(), tonic::Code::Unauthenticated);
    request.extensions_mut().insert(caller.clone());
    assert_eq!(Caller::of(&request).unwrap(), &caller);
}
