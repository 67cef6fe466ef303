use super::*;

fn range(code: u16) -> Option<Advice> {
    match code / 100 {
        40 => Some(Advice::AtOnce),
        41 => Some(BACK_OFF),
        42 => Some(Advice::NewToken),
        43..=49 => Some(Advice::Stop),
        _ => None,
    }
}

#[test]
fn every_code_there_can_be_has_its_ranges_advice() {
    for code in 0..=u16::MAX {
        let expected = match code {
            1002 | 1003 | 1007 | 1008 | 1009 | 1010 => Advice::Stop,
            1013 => Advice::BackOff { at_least_ms: 5_000 },
            _ => range(code).unwrap_or(BACK_OFF),
        };
        assert_eq!(advice(code), expected, "{code}");
    }
}

/// A control frame carries 125 bytes, of which the code takes two.
#[test]
fn every_code_has_one_name_which_fits_a_close_frame() {
    for (at, (code, known)) in NAMES.into_iter().enumerate() {
        assert_eq!(name(code), known);
        assert!((1..=123).contains(&known.len()), "{code}");
        assert!(NAMES[..at].iter().all(|(other, named)| *other < code && *named != known), "{code}");
    }
    let told: Vec<u16> = Reason::ALL.into_iter().map(of_refused_hello).collect();
    assert!(told.into_iter().all(|code| !name(code).is_empty()));
    assert_eq!(name(1005), "", "nobody sends it");
}

#[test]
fn a_socket_that_was_only_lost_comes_back() {
    for code in [1000, 1001, 1005, 1006, 1011, 1012, 3000, 5000] {
        assert_eq!(advice(code), BACK_OFF, "{code}");
    }
}

#[test]
fn every_status_there_can_be_has_an_advice_and_only_two_stop() {
    let stops: Vec<u16> =
        (0..=u16::MAX).filter(|status| http_advice(*status, None) == Advice::Stop).collect();
    assert_eq!(stops, [400, 403]);
    for status in [429, 503] {
        assert_eq!(http_advice(status, Some(7)), Advice::BackOff { at_least_ms: 7_000 });
        assert_eq!(http_advice(status, Some(u32::MAX)), Advice::BackOff { at_least_ms: u32::MAX });
        assert_eq!(http_advice(status, None), BACK_OFF);
    }
    assert_eq!(http_advice(500, Some(7)), BACK_OFF, "only those two promise anything");
}

/// E30: a refused hello has one code, which agrees with what the reason says of itself.
#[test]
fn every_reason_ends_a_hello_with_one_code() {
    for reason in Reason::ALL {
        let code = of_refused_hello(reason);
        if let Some(own) = reason.close_code() {
            assert_eq!(code, own, "{reason:?}");
        }
        let may_retry = reason.retry() != sterna_stream::Retry::Never;
        let comes_back = matches!(advice(code), Advice::BackOff { .. });
        assert!(comes_back || !may_retry, "{reason:?} may succeed later, so the client must come back");
    }
}
