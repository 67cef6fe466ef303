#![allow(clippy::unwrap_used)]

use super::*;

/// E30: names come back, also ones from the future; none is empty or without end.
#[test]
fn every_code_comes_back_from_its_name() {
    for reason in Reason::ALL {
        let code = ErrorCode::from(reason);
        assert_eq!(code.as_str().parse(), Ok(code.clone()));
        assert_eq!(code.reason(), Some(reason));
    }
    assert_eq!("quota_spent".parse(), Ok(ErrorCode::Other("quota_spent".into())));
    assert!("".parse::<ErrorCode>().is_err());
    assert!("x".repeat(129).parse::<ErrorCode>().is_err());
}

/// E30: each status means a code, and a code that a status means has a status of the same class.
#[test]
fn codes_and_http_statuses_map_both_ways() {
    for status in 0..=u16::MAX {
        let back = ErrorCode::of_status(status).reason().unwrap().http_status();
        let expected = if (400..500).contains(&status) { 4 } else { 5 };
        assert_eq!(back / 100, expected, "{status}");
    }
    for reason in Reason::ALL {
        let status = reason.http_status();
        assert_eq!(ErrorCode::of_status(status).reason().unwrap().http_status(), status, "{reason:?}");
    }
}

#[test]
fn a_problem_is_the_documented_one() {
    let refusal = Reason::RateLimited.because("").after_ms(800);
    let documented = concat!(
        r#"{"type":"urn:sterna:error:rate_limited","title":"too many publishes","status":429,"#,
        r#""code":"rate_limited","retry_after_ms":800}"#
    );
    assert!(include_str!("../../../../docs/protocol.md").contains(documented));
    let problem = Problem::of(&refusal);
    assert_eq!(String::from_utf8(problem.to_json()).unwrap(), documented);
    assert_eq!(problem.retry_after_s(), Some(1), "rounded up, so that nobody comes too early");
    assert_eq!(serde_json::from_str::<Problem>(documented).unwrap(), problem);
}

#[test]
fn every_reason_is_a_problem_and_an_error_frame_with_the_same_code() {
    for reason in Reason::ALL {
        let refusal = reason.because("why");
        let (problem, error) = (Problem::of(&refusal), frame::Error::from(refusal));
        assert_eq!(problem.code, error.code.as_str());
        assert_eq!(problem.status, reason.http_status());
        assert_eq!(problem.retry_after_ms, error.retry_after_ms);
        assert_eq!(problem.detail.as_deref(), error.detail.as_deref());
    }
}

#[test]
fn what_is_repeated_to_a_client_ends_at_a_character() {
    assert_eq!(echo("short"), "short".into());
    assert_eq!(echo(&"é".repeat(200)).len(), 254);
}
