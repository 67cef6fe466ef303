//! Ways in: who somebody is ([`Verifier`]) and what they may do on which stream ([`Authorizer`]), both
//! answered from local data (E32, G7).
//!
//! A decision is a [`Grant`]: it names tenant, subject, permission, resource, what the decision rests on, and
//! expires within a minute. Services take the resource *from* the grant, never from beside it. On the wire a
//! grant is sealed under the region's key ([`GrantKey`]).
//!
//! Reading order: [`identity`], [`issuer`], [`grant`], [`members`], [`authorizer`]. Not here: the rules by
//! which member events merge (`sterna_stream::member`), roles beyond a stream's members, policies.

pub mod authorizer;
pub mod grant;
mod hs256;
pub mod identity;
pub mod issuer;
pub mod members;

pub use authorizer::{Action, Authorizer, MemberAuthorizer, View};
pub use grant::{Grant, GrantKey, Permission};
pub use identity::{Identity, Verifier};
pub use issuer::{DevelopmentIssuer, TokenVerifier, is_tenant};
