//! What HTTP/1.1 demands of every request, whatever it asks for (RFC 9112): the header `Host`, once, and a
//! body in no transfer coding but `chunked`.
//!
//! Not here: what the HTTP library finds by itself while it reads a request's head. It answers that 400, 414
//! or 431 on its own, without a body and without `Sterna-Region`, closes the connection, and asks nobody; it
//! has no setting that would change that. docs/protocol.md, section 9, tells clients what it means.

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{StatusCode, Version};
use sterna_stream::Reason;

use super::answer::{self, Answer};

/// The answer to a request that breaks these rules. The connection ends with it: two who read such a request
/// differently do not agree where the next one begins.
pub(super) fn refused(request: &Parts) -> Option<Answer> {
    let hosts = request.headers.get_all(HOST).iter().count();
    let (refusal, status) = if hosts > 1 || (hosts == 0 && request.version >= Version::HTTP_11) {
        (Reason::BadRequest.because("expected the header Host, once"), None)
    } else if !is_plain_or_chunked(&request.headers) {
        let refusal = Reason::BadRequest.because("send the body as it is, in chunks or with its length");
        (refusal, Some(StatusCode::NOT_IMPLEMENTED))
    } else {
        return None;
    };
    let mut answer = answer::problem(&refusal, status);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(answer)
}

/// Whether the body is in no other transfer coding than `chunked`. The library undoes that one and hands on
/// what else was done to the body as if it were the body.
fn is_plain_or_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}
