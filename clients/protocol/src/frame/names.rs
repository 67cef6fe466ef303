//! Names out of sets that may grow: a value from the future keeps its name and is carried on.

use std::fmt;
use std::str::FromStr;

use sterna_stream::ids::Invalid;

use crate::limits::NAME_BYTES;

macro_rules! open_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
            /// One that this version does not know.
            Other(Box<str>),
        }

        impl $name {
            /// Every one that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$case,)*];

            /// Its name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$case => $text,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Ok(match text {
                    $($text => Self::$case,)*
                    other => Self::Other(unknown(other)?),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_set! {
    /// Why seqs will not come, or not yet. One that a client does not know moves its cursor like `skipped`.
    GapReason {
        /// More backlog than was asked for; fetchable.
        Skipped = "skipped",
        /// Past retention.
        Expired = "expired",
        /// With its region, all that is left of whose life was gathered.
        Lost = "lost",
        /// Before a new member's start; not fetchable.
        Hidden = "hidden",
        /// Not here yet: nothing moves, the events follow.
        Waiting = "waiting",
    }
}
open_set! {
    /// How safe an accepted event is.
    Durability {
        /// On every in-sync replica of the region's ingress (G1).
        Region = "region",
        /// In a region that is configured to run on one replica.
        SingleCopy = "single_copy",
        /// In another region too.
        Global = "global",
    }
}
open_set! {
    /// Whether a user is there.
    PresenceState {
        /// On at least one device.
        Online = "online",
        /// On none.
        Offline = "offline",
        /// The region that would know is silent.
        Unknown = "unknown",
    }
}

/// The name of something unknown: not empty and not without end.
pub(crate) fn unknown(name: &str) -> Result<Box<str>, Invalid> {
    match name.len() {
        0 => Err(Invalid::Empty),
        n if n > NAME_BYTES => Err(Invalid::TooLong(NAME_BYTES)),
        _ => Ok(name.into()),
    }
}

impl GapReason {
    /// Whether a client's cursor moves to the gap's end (rules 8 and 9 of docs/protocol.md).
    pub fn moves_the_cursor(&self) -> bool {
        *self != Self::Waiting
    }

    /// Whether REST has the events of the hole.
    pub fn is_fetchable(&self) -> bool {
        *self == Self::Skipped
    }
}
