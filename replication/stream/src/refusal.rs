//! Refusals: the one closed set of reasons for which anything a client asked is not done (E30).
//!
//! Every reason has one name on every way in, one HTTP status, one gRPC code and, where it ends a connection,
//! one close code. The maps are total; a test walks them. Details are logged where they arise and never
//! travel.

/// Why something was not done. The names are the protocol's error codes (docs/protocol.md, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described once, in the protocol's table of error codes")]
pub enum Reason {
    BadFrame,
    UnknownFrame,
    BadSubprotocol,
    OriginNotAllowed,
    BadRequest,
    BadEventId,
    IdTooOld,
    BadStream,
    PayloadTooLarge,
    TokenExpired,
    TokenInvalid,
    NotFound,
    Forbidden,
    PolicyStale,
    RateLimited,
    LimitExceeded,
    Overloaded,
    RegionLeaving,
    AuditUnavailable,
    Unavailable,
    Internal,
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not unchanged.
    Never,
    /// Here, after a while.
    Later,
    /// In another region.
    Elsewhere,
}

/// A reason, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.code())]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Milliseconds after which the same request may succeed; `None`: do not repeat it unchanged.
    pub retry_after_ms: Option<u32>,
    /// One sentence for the developer who reads it; never a secret, never another tenant's data.
    pub detail: String,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 21] = [
        Self::BadFrame,
        Self::UnknownFrame,
        Self::BadSubprotocol,
        Self::OriginNotAllowed,
        Self::BadRequest,
        Self::BadEventId,
        Self::IdTooOld,
        Self::BadStream,
        Self::PayloadTooLarge,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::NotFound,
        Self::Forbidden,
        Self::PolicyStale,
        Self::RateLimited,
        Self::LimitExceeded,
        Self::Overloaded,
        Self::RegionLeaving,
        Self::AuditUnavailable,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Its name in frames, in problem details and between services.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownFrame => "unknown_frame",
            Self::BadSubprotocol => "bad_subprotocol",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::BadRequest => "bad_request",
            Self::BadEventId => "bad_event_id",
            Self::IdTooOld => "id_too_old",
            Self::BadStream => "bad_stream",
            Self::PayloadTooLarge => "payload_too_large",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::PolicyStale => "policy_stale",
            Self::RateLimited => "rate_limited",
            Self::LimitExceeded => "limit_exceeded",
            Self::Overloaded => "overloaded",
            Self::RegionLeaving => "region_leaving",
            Self::AuditUnavailable => "audit_unavailable",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The reason with this name, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The HTTP status of a problem detail that carries it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadFrame
            | Self::UnknownFrame
            | Self::BadSubprotocol
            | Self::BadRequest
            | Self::BadEventId
            | Self::BadStream => 400,
            Self::TokenExpired | Self::TokenInvalid => 401,
            Self::OriginNotAllowed | Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::IdTooOld | Self::LimitExceeded => 409,
            Self::PayloadTooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::PolicyStale
            | Self::Overloaded
            | Self::RegionLeaving
            | Self::AuditUnavailable
            | Self::Unavailable => 503,
        }
    }

    /// The number of the gRPC status code between services; the exact reason travels beside it as metadata.
    pub fn grpc_code(self) -> i32 {
        match self.http_status() {
            400 | 413 => 3, // INVALID_ARGUMENT
            401 => 16,      // UNAUTHENTICATED
            403 => 7,       // PERMISSION_DENIED
            404 => 5,       // NOT_FOUND
            409 => 9,       // FAILED_PRECONDITION
            429 => 8,       // RESOURCE_EXHAUSTED
            500 => 13,      // INTERNAL
            _ => 14,        // UNAVAILABLE
        }
    }

    /// The WebSocket close code, where this reason ends the connection.
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::BadFrame => Some(4300),
            Self::TokenExpired => Some(4200),
            Self::TokenInvalid => Some(4201),
            _ => None,
        }
    }

    /// Whether asking again can help.
    pub fn retry(self) -> Retry {
        match self {
            Self::PolicyStale
            | Self::RateLimited
            | Self::Overloaded
            | Self::AuditUnavailable
            | Self::Unavailable
            | Self::Internal => Retry::Later,
            Self::RegionLeaving => Retry::Elsewhere,
            _ => Retry::Never,
        }
    }

    /// A refusal for this reason, to be repeated after a second if repeating can help.
    pub fn because(self, detail: impl Into<String>) -> Refusal {
        let retry_after_ms = (self.retry() != Retry::Never).then_some(1_000);
        Refusal { reason: self, retry_after_ms, detail: detail.into() }
    }
}

impl Refusal {
    /// The same refusal with another time to come back.
    #[must_use]
    pub fn after_ms(mut self, ms: u32) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E30: a closed set with total maps; names are unique and come back.
    #[test]
    fn every_reason_has_one_name_and_comes_back_from_it() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "ALL lists every reason once, in order");
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!((400..=599).contains(&reason.http_status()));
            assert!((1..=16).contains(&reason.grpc_code()));
        }
        assert_eq!(Reason::from_code("from_the_future"), None);
    }

    /// E30: what says when to come back is exactly what may succeed then.
    #[test]
    fn retry_after_stands_exactly_where_repeating_can_help() {
        for reason in Reason::ALL {
            let refusal = reason.because("x");
            assert_eq!(refusal.retry_after_ms.is_some(), reason.retry() != Retry::Never, "{reason:?}");
            let status = reason.http_status();
            assert_eq!(reason.retry() != Retry::Never, matches!(status, 429 | 500 | 503), "{reason:?}");
        }
    }
}
