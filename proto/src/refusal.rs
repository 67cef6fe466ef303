//! A refusal through gRPC: the coarse status code for everybody, the exact reason as binary metadata (E30).

use prost::Message;
use sterna_stream::{Reason, Refusal};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::v1;

const METADATA: &str = "sterna-refusal-bin";

impl From<&Refusal> for v1::Refused {
    fn from(refusal: &Refusal) -> Self {
        Self {
            code: refusal.reason.code().to_owned(),
            retry_after_ms: refusal.retry_after_ms,
            detail: refusal.detail.clone(),
        }
    }
}

impl From<v1::Refused> for Refusal {
    /// A reason from the future becomes `internal`, with the time to come back that it named.
    fn from(message: v1::Refused) -> Self {
        let reason = Reason::from_code(&message.code).unwrap_or(Reason::Internal);
        Self { reason, retry_after_ms: message.retry_after_ms, detail: message.detail }
    }
}

/// The status of a call that was refused.
pub fn to_status(refusal: &Refusal) -> Status {
    let mut status = Status::new(Code::from_i32(refusal.reason.grpc_code()), refusal.reason.code());
    let bytes = v1::Refused::from(refusal).encode_to_vec();
    status.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(&bytes));
    status
}

/// Why a call was refused; a status that names no reason is the fault of the way there: `unavailable` or
/// `internal`.
pub fn from_status(status: &Status) -> Refusal {
    let named = status.metadata().get_bin(METADATA).and_then(|value| value.to_bytes().ok());
    if let Some(message) = named.and_then(|bytes| v1::Refused::decode(bytes).ok()) {
        return message.into();
    }
    let reason = match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => Reason::Unavailable,
        Code::ResourceExhausted => Reason::Overloaded,
        _ => Reason::Internal,
    };
    reason.because("a call between services failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E30: the reason that a service gives is the reason that its caller sees, whatever it is.
    #[test]
    fn every_reason_survives_the_way_through_a_status() {
        for reason in Reason::ALL {
            let refusal = reason.because("why").after_ms(7);
            let status = to_status(&refusal);
            assert_eq!(status.code() as i32, reason.grpc_code());
            assert_eq!(from_status(&status), refusal);
        }
    }

    #[test]
    fn a_status_without_a_reason_says_that_the_outcome_is_open_or_the_fault_is_ours() {
        assert_eq!(from_status(&Status::deadline_exceeded("x")).reason, Reason::Unavailable);
        assert_eq!(from_status(&Status::unknown("x")).reason, Reason::Internal);
        let future =
            v1::Refused { code: "from_the_future".into(), retry_after_ms: Some(3), detail: String::new() };
        assert_eq!(Refusal::from(future).retry_after_ms, Some(3));
    }
}
