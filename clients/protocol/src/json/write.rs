//! The schema's messages as JSON, in the order of docs/protocol.md, absent fields left out.

use crate::wire::{self, ClientBody, ServerBody};

use super::text;

/// Appends a client's frame.
pub(super) fn client(body: &ClientBody, out: &mut Vec<u8>) {
    framed(out, |o| match body {
        ClientBody::Hello(hello) => o.object("hello", |o| {
            o.text("token", &hello.token);
            o.text("device", &hello.device);
            o.text("client", &hello.client);
            o.text("home", &hello.home);
            o.text("ticket", &hello.ticket);
            o.cursor("policy", hello.policy.as_ref());
            o.number("ping_interval_ms", hello.ping_interval_ms.into());
        }),
        ClientBody::Subscribe(subscribe) => o.object("subscribe", |o| {
            o.list("streams", &subscribe.streams, |o, asked| {
                o.text("stream", &asked.stream);
                o.cursor("cursor", asked.cursor.as_ref());
                o.optional("tail", asked.tail);
                o.flag("presence", asked.presence);
            });
            o.flag("mine", subscribe.mine);
            o.optional("tail", subscribe.tail);
        }),
        ClientBody::Unsubscribe(unsubscribe) => {
            o.object("unsubscribe", |o| o.texts("streams", &unsubscribe.streams));
        }
        ClientBody::Publish(publish) => o.object("publish", |o| {
            o.text("stream", &publish.stream);
            o.text("event_id", &publish.event_id);
            o.text("kind", &publish.kind);
            o.raw("payload", &publish.payload);
            o.hlc("seen", publish.seen);
            o.flag("resend", publish.resend);
            o.cursor("policy", publish.policy.as_ref());
        }),
        ClientBody::Cursor(cursors) => o.object("cursor", |o| {
            o.list("streams", &cursors.streams, |o, stored| {
                o.text("stream", &stored.stream);
                o.cursor("cursor", stored.cursor.as_ref());
            });
        }),
        ClientBody::Ephemeral(ephemeral) => self::ephemeral(o, ephemeral),
        ClientBody::MoveFailed(failed) => o.object("move_failed", |o| {
            o.text("to", &failed.to);
            o.text("reason", &failed.reason);
        }),
        ClientBody::Ping(_) => o.object("ping", |_| ()),
        ClientBody::Pong(_) => o.object("pong", |_| ()),
    });
}

/// Appends a server's frame.
pub(super) fn server(body: &ServerBody, out: &mut Vec<u8>) {
    framed(out, |o| match body {
        ServerBody::Welcome(welcome) => o.object("welcome", |o| self::welcome(o, welcome)),
        ServerBody::Subscribed(subscribed) => o.object("subscribed", |o| {
            o.list("streams", &subscribed.streams, |o, head| {
                o.text("stream", &head.stream);
                o.cursor("head", head.head.as_ref());
                o.cursor("known", head.known.as_ref());
            });
        }),
        ServerBody::Events(events) => o.object("events", |o| {
            o.text("stream", &events.stream);
            o.list("events", &events.events, event);
        }),
        ServerBody::Gap(gap) => o.object("gap", |o| {
            o.text("stream", &gap.stream);
            o.text("reason", &gap.reason);
            o.cursor("from", gap.from.as_ref());
            o.cursor("to", gap.to.as_ref());
        }),
        ServerBody::Ack(ack) => o.object("ack", |o| {
            o.text("event_id", &ack.event_id);
            o.texts("event_ids", &ack.event_ids);
            o.text("region", &ack.region);
            o.text("durability", &ack.durability);
        }),
        ServerBody::Presence(presence) => o.object("presence", |o| {
            o.text("stream", &presence.stream);
            o.flag("full", presence.full);
            o.optional("online", Some(presence.online));
            o.list("users", &presence.users, |o, user| {
                o.text("user", &user.user);
                o.text("state", &user.state);
                o.number("since_unix_ms", user.since_unix_ms);
            });
        }),
        ServerBody::Ephemeral(ephemeral) => self::ephemeral(o, ephemeral),
        ServerBody::Move(to) => o.object("move", |o| {
            o.text("to", &to.to);
            o.optional("after_ms", Some(to.after_ms));
            o.optional("deadline_ms", Some(to.deadline_ms));
            o.text("reason", &to.reason);
            o.text("ticket", &to.ticket);
        }),
        ServerBody::Error(error) => o.object("error", |o| self::error(o, error)),
        ServerBody::Ping(_) => o.object("ping", |_| ()),
        ServerBody::Pong(_) => o.object("pong", |_| ()),
    });
}

fn welcome(o: &mut Fields<'_>, welcome: &wire::Welcome) {
    o.text("session", &welcome.session);
    o.text("region", &welcome.region);
    o.text("origin", &welcome.origin);
    o.text("tenant", &welcome.tenant);
    o.text("user", &welcome.user);
    o.number("time_unix_ms", welcome.time_unix_ms);
    o.number("token_expires_in_ms", welcome.token_expires_in_ms);
    o.number("ping_interval_ms", welcome.ping_interval_ms.into());
    if let Some(limits) = &welcome.limits {
        o.object("limits", |o| {
            o.number("max_in_flight", limits.max_in_flight.into());
            o.number("publishes_per_s", limits.publishes_per_s.into());
            o.number("ephemeral_per_s", limits.ephemeral_per_s.into());
            o.number("max_subscriptions", limits.max_subscriptions.into());
            o.number("max_backlog", limits.max_backlog.into());
            o.number("dedupe_window_ms", limits.dedupe_window_ms);
        });
    }
    o.list("endpoints", &welcome.endpoints, |o, at| {
        o.text("region", &at.region);
        o.text("url", &at.url);
    });
}

fn event(o: &mut Fields<'_>, event: &wire::Event) {
    o.text("origin", &event.origin);
    o.number("seq", event.seq);
    o.hlc("hlc", Some(event.hlc));
    o.text("event_id", &event.event_id);
    o.text("author", &event.author);
    o.text("kind", &event.kind);
    o.raw("payload", &event.payload);
    o.flag("erased", event.erased);
    o.flag("resend", event.resend);
}

fn ephemeral(o: &mut Fields<'_>, ephemeral: &wire::Ephemeral) {
    o.object("ephemeral", |o| {
        o.text("stream", &ephemeral.stream);
        o.text("user", &ephemeral.user);
        o.text("kind", &ephemeral.kind);
        o.raw("payload", &ephemeral.payload);
    });
}

fn error(o: &mut Fields<'_>, error: &wire::Error) {
    o.text("code", &error.code);
    o.text("frame", &error.frame);
    o.text("field", &error.field);
    o.text("event_id", &error.event_id);
    o.text("stream", &error.stream);
    o.optional("retry_after_ms", error.retry_after_ms);
    o.number("time_unix_ms", error.time_unix_ms);
    o.text("to", &error.to);
    o.text("detail", &error.detail);
}

fn framed(out: &mut Vec<u8>, body: impl FnOnce(&mut Fields<'_>)) {
    out.push(b'{');
    body(&mut Fields { out, first: true });
    out.push(b'}');
}

/// The fields of an object that is being written.
struct Fields<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

// === impl Fields ===

impl Fields<'_> {
    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key);
            text::string(self.out, value);
        }
    }

    fn raw(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.key(key);
            self.out.extend_from_slice(value);
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.raw(key, b"true");
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        if value > 0 {
            self.key(key);
            text::number(self.out, value);
        }
    }

    fn optional(&mut self, key: &str, value: Option<u32>) {
        if let Some(value) = value {
            self.key(key);
            text::number(self.out, value.into());
        }
    }

    fn hlc(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key);
            self.out.push(b'"');
            text::hex(self.out, value.into(), 16);
            self.out.push(b'"');
        }
    }

    fn object(&mut self, key: &str, fields: impl FnOnce(&mut Fields<'_>)) {
        self.key(key);
        framed(self.out, fields);
    }

    fn cursor(&mut self, key: &str, cursor: Option<&wire::Cursor>) {
        if let Some(cursor) = cursor {
            self.object(key, |o| {
                for place in &cursor.places {
                    o.key(&place.origin);
                    text::number(o.out, place.seq);
                }
            });
        }
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.items(key, values, |out, value| text::string(out, value));
    }

    fn list<T>(&mut self, key: &str, values: &[T], mut fields: impl FnMut(&mut Fields<'_>, &T)) {
        self.items(key, values, |out, value| framed(out, |o| fields(o, value)));
    }

    fn items<T>(&mut self, key: &str, values: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
        if values.is_empty() {
            return;
        }
        self.key(key);
        self.out.push(b'[');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            item(self.out, value);
        }
        self.out.push(b']');
    }
}
