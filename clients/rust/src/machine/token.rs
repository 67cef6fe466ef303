//! The user's token: when one is needed, when it must be renewed (P24).
//!
//! The application is asked for one at a time. A token in memory is not used for a new socket within 60 s of
//! its end, nor after the server refused it.

use sterna_protocol::frame::Secret;

use crate::config::{RENEW_AGAIN_MS, TOKEN_FRESH_MS, TOKEN_MS};

/// A token and what is known of its life.
#[derive(Debug, Default)]
pub(super) struct Token {
    secret: Option<Secret>,
    expires_ms: Option<u64>,
    renew_ms: Option<u64>,
    asked_ms: Option<u64>,
    /// The code of the last refusal, until a `welcome` (42xx twice: stop).
    refused: Option<u16>,
}

impl Token {
    /// A token for a new socket, if there is one fresh enough.
    pub(super) fn fresh(&self, now_ms: u64) -> Option<&Secret> {
        let ends = self.expires_ms.is_some_and(|end| now_ms + TOKEN_FRESH_MS > end);
        self.secret.as_ref().filter(|_| !ends)
    }

    /// The token that the session has.
    pub(super) fn held(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Whether the application has to be asked now.
    pub(super) fn ask(&mut self, now_ms: u64) -> bool {
        if self.asked_ms.is_some() {
            return false;
        }
        self.asked_ms = Some(now_ms);
        true
    }

    /// The application answered, or took too long to.
    pub(super) fn came(&mut self, secret: Option<Secret>, now_ms: u64) {
        self.asked_ms = None;
        self.renew_ms = self.renew_ms.map(|_| now_ms + RENEW_AGAIN_MS);
        if secret.is_some() {
            (self.secret, self.expires_ms) = (secret, None);
        }
    }

    /// `welcome` says how long it lives.
    pub(super) fn welcomed(&mut self, lives_ms: u64, now_ms: u64) {
        self.refused = None;
        self.expires_ms = Some(now_ms + lives_ms);
        self.renew_ms = Some(now_ms + lives_ms / 5 * 4);
    }

    /// The server refused it with `code`. Says whether it did so before, with no `welcome` since.
    pub(super) fn refused(&mut self, code: u16) -> bool {
        self.secret = None;
        self.refused.replace(code) == Some(code)
    }

    /// The application starts anew: nothing is held against the next token.
    pub(super) fn forgive(&mut self) {
        self.refused = None;
    }

    pub(super) fn renew_due(&self, now_ms: u64) -> bool {
        self.asked_ms.is_none() && self.renew_ms.is_some_and(|at| now_ms >= at)
    }

    /// When to renew, if nothing is under way.
    pub(super) fn renew_ms(&self) -> Option<u64> {
        self.renew_ms.filter(|_| self.asked_ms.is_none())
    }

    /// Until when the application may take to answer.
    pub(super) fn overdue_ms(&self) -> Option<u64> {
        self.asked_ms.map(|asked| asked + TOKEN_MS)
    }
}
