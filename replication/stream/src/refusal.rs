//! Refusals: the one closed set of reasons for which anything a client asked is not done (E30).
//!
//! Every reason has one name on every way in, one HTTP status, one gRPC code and, where it ends a connection,
//! one close code. The maps are total; a test walks them. Details are logged where they arise and never
//! travel.

/// One line a reason: its name, its HTTP status, whether asking again can help, and the close code where it
/// ends a connection. The set and all its maps come from this one table, so that none can lack a reason.
macro_rules! reasons {
    ($($reason:ident $code:literal $status:literal $retry:ident $close:expr;)*) => {
        /// Why something was not done. The names are the protocol's error codes (docs/protocol.md,
        /// section 6).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described once, in the protocol's table of error codes")]
        pub enum Reason { $($reason),* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$reason),*];

            /// Its name in frames, in problem details and between services.
            pub fn code(self) -> &'static str {
                match self { $(Self::$reason => $code),* }
            }

            /// The HTTP status of a problem detail that carries it.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$reason => $status),* }
            }

            /// Whether asking again can help.
            pub fn retry(self) -> Retry {
                match self { $(Self::$reason => Retry::$retry),* }
            }

            /// The WebSocket close code, where this reason ends the connection.
            pub fn close_code(self) -> Option<u16> {
                match self { $(Self::$reason => $close),* }
            }
        }
    };
}

reasons! {
    BadFrame "bad_frame" 400 Never Some(4300);
    UnknownFrame "unknown_frame" 400 Never None;
    BadSubprotocol "bad_subprotocol" 400 Never None;
    OriginNotAllowed "origin_not_allowed" 403 Never None;
    BadRequest "bad_request" 400 Never None;
    BadEventId "bad_event_id" 400 Never None;
    IdTooOld "id_too_old" 409 Never None;
    BadStream "bad_stream" 400 Never None;
    PayloadTooLarge "payload_too_large" 413 Never None;
    TokenExpired "token_expired" 401 Never Some(4200);
    TokenInvalid "token_invalid" 401 Never Some(4201);
    NotFound "not_found" 404 Never None;
    Forbidden "forbidden" 403 Never None;
    PolicyStale "policy_stale" 503 Later None;
    RateLimited "rate_limited" 429 Later None;
    LimitExceeded "limit_exceeded" 409 Never None;
    Overloaded "overloaded" 503 Later None;
    RegionLeaving "region_leaving" 503 Elsewhere None;
    AuditUnavailable "audit_unavailable" 503 Later None;
    Unavailable "unavailable" 503 Later None;
    Internal "internal" 500 Later None;
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
    /// The reason with this name, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
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
