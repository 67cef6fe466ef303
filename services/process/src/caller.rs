//! Who calls: the role and region at the other end of a link, with a MAC, until mTLS says it (E32).
//!
//! The calling side attaches it to every request (`Link::called_by`), the serving side checks it before the
//! handler runs ([`require_caller`]) and puts [`Caller`] among the request's extensions. It guards what only
//! roles may call (`Append`, express); what clients may do is for Grants. It is no transport security: who
//! can read a link can copy the header.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use sha2::Sha256;
use tonic::Status;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::service::Routes;
use tower::{Layer, Service};

/// The binary metadata key that carries the identity.
pub(crate) const CALLER_HEADER: HeaderName = HeaderName::from_static("sterna-caller-bin");
/// What the MAC covers first, so that no MAC made for another purpose with the same key is taken for one of
/// these.
const PURPOSE: &[u8] = b"sterna caller v1\0";
const MAC_BYTES: usize = 32;
/// Shorter keys are refused.
const KEY_BYTES_MIN: usize = 16;
/// Role and region names are at most this long, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Checked identities that are remembered: their next requests cost a comparison. More callers than this
/// start over.
const REMEMBERED_MAX: usize = 64;

/// The verified identity of a link's caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    role: Arc<str>,
    region: Arc<str>,
}

/// The configured keys of a deployment: the first signs, all of them verify, so that keys can be rotated.
#[derive(Clone)]
pub struct CallerKeys(Arc<Keys>);

struct Keys {
    macs: Vec<Hmac<Sha256>>,
    remembered: RwLock<Vec<(HeaderValue, Caller)>>,
}

/// Why keys or a caller were not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallerError {
    /// No key was given: configure one.
    #[error("a link key is needed")]
    NoKey,
    /// A key is too short to protect anything: configure a longer one.
    #[error("a link key has at least {KEY_BYTES_MIN} bytes")]
    ShortKey,
    /// A role or region name is empty or too long.
    #[error("role and region have 1 to {NAME_BYTES_MAX} bytes")]
    Name,
}

// === impl Caller ===

impl Caller {
    /// The role `role` in `region`. 1 to 255 bytes each.
    pub fn new(role: &str, region: &str) -> Result<Caller, CallerError> {
        let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits(role) || !fits(region) {
            return Err(CallerError::Name);
        }
        Ok(Caller { role: role.into(), region: region.into() })
    }

    /// The calling role, e.g. `gateway`.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The caller's region, e.g. `eu-west-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Who made this request; refused where nobody checked, i.e. the routes lack [`require_caller`].
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Caller, Status> {
        request
            .extensions()
            .get()
            .ok_or_else(|| Status::unauthenticated("callers of this service are not checked"))
    }

    /// Refuses unless the caller is one of `roles`.
    pub fn must_be(&self, roles: &[&str]) -> Result<(), Status> {
        if roles.contains(&self.role()) {
            return Ok(());
        }
        Err(Status::permission_denied("this role may not call this"))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.role.len() + self.region.len() + MAC_BYTES);
        for name in [&self.role, &self.region] {
            bytes.push(u8::try_from(name.len()).expect("a name has at most 255 bytes"));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Caller> {
        let (role, rest) = name(bytes)?;
        let (region, rest) = name(rest)?;
        if rest.is_empty() { Caller::new(role, region).ok() } else { None }
    }
}

fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

// === impl CallerKeys ===

impl CallerKeys {
    /// The current key first, then those still accepted. At least 16 bytes each.
    pub fn new<K: AsRef<[u8]>>(keys: &[K]) -> Result<CallerKeys, CallerError> {
        if keys.is_empty() {
            return Err(CallerError::NoKey);
        }
        if keys.iter().any(|key| key.as_ref().len() < KEY_BYTES_MIN) {
            return Err(CallerError::ShortKey);
        }
        let mac = |key: &K| Hmac::new_from_slice(key.as_ref()).expect("HMAC takes keys of any length");
        Ok(CallerKeys(Arc::new(Keys { macs: keys.iter().map(mac).collect(), remembered: RwLock::default() })))
    }

    /// The header value that says, and proves, that `caller` calls.
    pub(crate) fn sign(&self, caller: &Caller) -> HeaderValue {
        let mut bytes = caller.encode();
        let mac = self.0.macs[0].clone().chain_update(PURPOSE).chain_update(&bytes).finalize();
        bytes.extend_from_slice(&mac.into_bytes());
        let value = BinaryMetadataValue::from_bytes(&bytes);
        HeaderValue::from_bytes(value.as_encoded_bytes()).expect("base64 fits a header")
    }

    /// Who sent this value, if one of the keys made it.
    pub(crate) fn verify(&self, value: &HeaderValue) -> Option<Caller> {
        let known = self.0.remembered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, caller)) = known.iter().find(|(seen, _)| seen == value) {
            return Some(caller.clone());
        }
        drop(known);
        let caller = self.check(value)?;
        let mut known = self.0.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.push((value.clone(), caller.clone()));
        Some(caller)
    }

    fn check(&self, value: &HeaderValue) -> Option<Caller> {
        let headers = HeaderMap::from_iter([(CALLER_HEADER, value.clone())]);
        let bytes = MetadataMap::from_headers(headers).get_bin(CALLER_HEADER.as_str())?.to_bytes().ok()?;
        let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let made = |key: &Hmac<Sha256>| {
            key.clone().chain_update(PURPOSE).chain_update(signed).verify_slice(mac).is_ok()
        };
        if self.0.macs.iter().any(made) { Caller::decode(signed) } else { None }
    }
}

impl fmt::Debug for CallerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerKeys").field("keys", &self.0.macs.len()).finish_non_exhaustive()
    }
}

// === the serving side ===

/// `routes`, refusing with `unauthenticated` whoever does not prove to be a role. Services added afterwards
/// (health, reflection) stay open.
pub fn require_caller(routes: Routes, keys: &CallerKeys) -> Routes {
    routes.into_axum_router().layer(RequireCaller(keys.clone())).into()
}

#[derive(Clone)]
struct RequireCaller(CallerKeys);

#[derive(Clone)]
struct Checked<S> {
    keys: CallerKeys,
    inner: S,
}

impl<S> Layer<S> for RequireCaller {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked { keys: self.0.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for Checked<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Default + Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match request.headers().get(&CALLER_HEADER).and_then(|value| self.keys.verify(value)) {
            Some(caller) => {
                request.extensions_mut().insert(caller);
                Answer::Handler { future: self.inner.call(request) }
            }
            None => {
                let refusal = Status::unauthenticated("the caller of this link is not known");
                Answer::Refused { response: Some(refusal.into_http()) }
            }
        }
    }
}

pin_project_lite::pin_project! {
    #[project = AnswerProjected]
    enum Answer<F, R> {
        Handler { #[pin] future: F },
        Refused { response: Option<Response<R>> },
    }
}

impl<F, R, E> Future for Answer<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProjected::Handler { future } => future.poll(cx),
            AnswerProjected::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests;
