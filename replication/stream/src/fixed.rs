//! Streams whose names are fixed: they come from provisioning a tenant and from nowhere else (E3).
//!
//! Each tenant has one access stream, `<tenant>/access/main`. It begins with its *founding*: a member event
//! by which the provisioner, whom no token names, makes the tenant's root owner. Every region may found it,
//! at the same time and again: foundings that say the same are one, whatever their ids and places.

use crate::ids::{Invalid, StreamId, UserId};
use crate::member::{Change, MemberEvent, Role};

/// The kind of the stream that says who may do what in a tenant.
pub const ACCESS: &str = "access";
/// The name of a tenant's access stream.
pub const ACCESS_NAME: &str = "main";
/// The author of foundings: a region's own start.
pub const PROVISIONER: &str = "sterna:provisioning";

/// The access stream of `tenant`.
///
/// # Errors
/// As [`StreamId::new`]: no tenant has such a name.
pub fn access(tenant: &str) -> Result<StreamId, Invalid> {
    StreamId::new(tenant, ACCESS, ACCESS_NAME)
}

/// Whether this is a tenant's access stream.
pub fn is_access(stream: &StreamId) -> bool {
    stream.kind() == ACCESS && stream.name() == ACCESS_NAME
}

/// Whether no token may name such a user, because the engine acts under its name.
pub fn is_reserved(user: &UserId) -> bool {
    user.as_str() == PROVISIONER
}

/// Whether an event by `author` that makes such a change to `stream` founds it.
pub fn founds(stream: &StreamId, author: &UserId, change: Change) -> bool {
    is_access(stream) && is_reserved(author) && change == Change::Add(Role::Owner)
}

/// Whether a member event founds its stream: its subject is the root owner.
pub(crate) fn is_founding(stream: &StreamId, event: &MemberEvent) -> bool {
    founds(stream, &event.entry.author, event.change)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// E3: the name is stored in every event for ever, and nobody but the provisioner founds.
    #[test]
    fn the_access_stream_has_one_name_and_one_founder() {
        let stream = access("acme").unwrap();
        assert_eq!(stream.as_str(), "acme/access/main");
        assert!(access("No Tenant").is_err());
        let provisioner: UserId = PROVISIONER.parse().unwrap();
        let owner = Change::Add(Role::Owner);
        assert!(founds(&stream, &provisioner, owner) && is_reserved(&provisioner));
        for (stream, author, change) in [
            ("acme/access/main", "ana", owner),
            ("acme/access/main", PROVISIONER, Change::Add(Role::Writer)),
            ("acme/access/main", PROVISIONER, Change::Remove(None)),
            ("acme/access/other", PROVISIONER, owner),
            ("acme/chat/main", PROVISIONER, owner),
        ] {
            assert!(!founds(&stream.parse().unwrap(), &author.parse().unwrap(), change), "{stream} {author}");
        }
    }
}
