"""A device: what it follows, shows, wants published, and what every arriving frame does to that.

The half of the client that knows frames and no sockets' lives: `client.Client` says when, this says what. Two
sockets during a move feed the same device. Everything is written to the store before the listener hears of it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Iterable

from .outbox import Entry, Outbox, Publication, Refused, uuid7
from .retry import Endpoints
from .session import FRAME_BYTES_MAX, Session
from .store import Store
from .view import Event, View

NAME = "sterna-python/0.1.0"
CURSOR_EVERY_S = 5.0
RENEW_AT = 0.8
# Room for the envelope around the entries of a `subscribe`.
ENVELOPE_BYTES = 100
# Codes whose refusal is about the region or the moment and not about the event, though no time is named.
PASSING = ("region_leaving", "limit_exceeded")


class Listener:
    """What the application may want to hear. Every method may be left as it is; none may block."""

    def state(self, state: str, detail: str) -> None:
        """A new state of section 7; `detail` is the region, or why it waits or stopped."""

    def event(self, event: Event, late: bool) -> None:
        """An event, after it was stored. `late`: it stands above the newest (rule 10)."""

    def gap(self, stream: str, reason: str, holes: list) -> None:
        """Events that will not come, or with the reason `waiting` not yet."""

    def left(self, stream: str, code: str) -> None:
        """Not subscribed any more, and not by own wish."""

    def trouble(self, detail: str) -> None:
        """The same failure again and again: somebody should look."""

    def other(self, name: str, body: Any) -> None:
        """`presence`, `ephemeral`, and frames that this client does not know."""


class Device:
    """`now` gives the seconds of a clock that only goes forward; `changed` is called after every change."""

    def __init__(self, store: Store, listener: Listener, endpoints: Endpoints, ping_interval_ms: int,
                 now: Callable[[], float], changed: Callable[[], None]) -> None:
        self._store = store
        self._listener = listener
        self._endpoints = endpoints
        self._ping_interval_ms = ping_interval_ms
        self._now = now
        self._changed = changed
        self.outbox = Outbox()
        for entry in store.outbox():
            self.outbox.add(entry)
        self._number = max(self.outbox.entries, default=0)
        self._views: dict[str, View] = {}
        # Stream to its `tail`; `again_at` has those that are not subscribed now and when to ask again.
        self._followed: dict[str, int | None] = {}
        self._again_at: dict[str, float] = {}
        self._untold: set[str] = set()
        self._told_at = 0.0
        self.renew_at: float | None = None
        self._clock_ahead_ms = store.fact("clock_ahead_ms") or 0
        known = store.fact("endpoints")
        if known:
            endpoints.learn(known["region"], known["endpoints"])

    # --- what the application asks for

    def follow(self, stream: str, tail: int | None) -> View:
        if stream not in self._followed:
            self._followed[stream] = tail
            self._again_at[stream] = 0.0
            self._changed()
        return self.view(stream)

    def view(self, stream: str) -> View:
        if stream not in self._views:
            self._views[stream] = self._store.view(stream)
        return self._views[stream]

    def publish(self, stream: str, kind: str, payload: Any) -> Publication:
        self._number += 1
        entry = Entry(self._number, stream, kind, payload, publication=Publication())
        self._store.keep_entry(entry)
        self.outbox.add(entry)
        self._changed()
        return entry.publication

    # --- what is to be sent

    def hello(self, token: str, ticket: str | None) -> dict[str, Any]:
        hello: dict[str, Any] = {"token": token, "device": self._store.device, "client": NAME}
        hello["ping_interval_ms"] = self._ping_interval_ms
        for name, value in (("home", self._store.fact("home")), ("ticket", ticket)):
            if value is not None:
                hello[name] = value
        return {"hello": hello}

    def subscribe_all(self) -> list[dict[str, Any]]:
        """For a new socket: every followed stream with this device's cursor."""
        return self._subscribe(self._followed)

    def upkeep(self, now: float) -> list[dict[str, Any]]:
        """What is due besides publishes: streams to subscribe (again), cursors to tell."""
        frames = self._subscribe([stream for stream, at in self._again_at.items() if at <= now])
        if self._untold and now - self._told_at >= CURSOR_EVERY_S:
            streams = [{"stream": stream, "cursor": self.view(stream).cursor} for stream in sorted(self._untold)]
            frames.append({"cursor": {"streams": streams}})
            self._untold.clear()
            self._told_at = now
        return frames

    def _subscribe(self, streams: Iterable[str]) -> list[dict[str, Any]]:
        """As few frames as their size allows."""
        frames: list[list[dict[str, Any]]] = []
        size = FRAME_BYTES_MAX
        for stream in list(streams):
            self._again_at.pop(stream, None)
            entry: dict[str, Any] = {"stream": stream, "cursor": dict(self.view(stream).cursor)}
            if self._followed[stream] is not None:
                entry["tail"] = self._followed[stream]
            length = len(json.dumps(entry)) + 1
            if size + length > FRAME_BYTES_MAX - ENVELOPE_BYTES:
                frames.append([])
                size = 0
            frames[-1].append(entry)
            size += length
        return [{"subscribe": {"streams": entries}} for entries in frames]

    def publish_frame(self, entry: Entry) -> dict[str, Any]:
        """The frame of an entry, whose next attempt is on disk from now on. The first one mints its id."""
        if entry.event_id is None:
            entry.event_id = uuid7(int(time.time() * 1000) + self._clock_ahead_ms, os.urandom(10))
        if entry.publication is not None:
            entry.publication.event_id = entry.event_id
        frame = entry.frame(self.view(entry.stream).newest_hlc())
        self.outbox.sent(entry, self._now())
        self._store.keep_entry(entry)
        return frame

    def next_timer(self, now: float) -> float | None:
        """Seconds until something is due without anything having arrived."""
        times = [at - now for at in self._again_at.values()]
        if self._untold:
            times.append(self._told_at + CURSOR_EVERY_S - now)
        if self.renew_at is not None:
            times.append(self.renew_at - now)
        times.extend(self.outbox.next_due(now))
        return max(0.0, min(times)) if times else None

    # --- where it stands

    def is_current(self, session: Session) -> bool:
        """Whether every followed stream is at the head that this socket told."""
        waited_for = [stream for stream in self._followed if stream not in self._again_at]
        return all(stream in session.heads and self.view(stream).is_current(session.heads[stream])
                   for stream in waited_for)

    def resume_outbox(self, session: Session, moved: bool) -> None:
        """Rule 13, after catching up: what is proven to be in two regions leaves, the rest is due again."""
        def is_safe(entry: Entry) -> bool:
            head = session.heads.get(entry.stream, {})
            copies = self.view(entry.stream).copies(session.user, entry.event_id or "")
            return any(copy.origin != session.origin and copy.seq <= head.get(copy.origin, 0) for copy in copies)

        for entry in self.outbox.new_socket(is_safe, moved):
            self._settle(entry, session)

    def follow_missing(self, session: Session) -> None:
        """What was followed while a move was under way: this socket has not heard of it."""
        for stream in self._followed:
            if stream not in session.heads:
                self._again_at.setdefault(stream, 0.0)

    # --- what arrives

    def on_frame(self, session: Session, name: str, body: Any) -> None:
        handlers = {"welcome": self._on_welcome, "subscribed": self._on_subscribed, "events": self._on_events,
                    "gap": self._on_gap, "ack": self._on_ack, "error": self._on_error}
        if name in handlers:
            handlers[name](session, body)
        elif name != "pong":
            self._listener.other(name, body)
        self._changed()

    def _on_welcome(self, session: Session, welcome: dict[str, Any]) -> None:
        if session.welcome is None and self._endpoints.is_cold():
            self._store.keep_fact("home", welcome["region"])
        session.take_welcome(welcome)
        self._endpoints.learn(welcome["region"], welcome.get("endpoints", []))
        self._store.keep_fact("endpoints", {"region": welcome["region"], "endpoints": self._endpoints.listed})
        self._clock_ahead_ms = welcome["time_unix_ms"] - int(time.time() * 1000)
        self._store.keep_fact("clock_ahead_ms", self._clock_ahead_ms)
        limit = welcome.get("limits", {}).get("max_in_flight")
        self.outbox.max_in_flight = limit or self.outbox.max_in_flight
        self.renew_at = self._now() + RENEW_AT * welcome["token_expires_in_ms"] / 1000

    def _on_subscribed(self, session: Session, body: dict[str, Any]) -> None:
        for each in body["streams"]:
            session.heads[each["stream"]] = each.get("head", {})

    def _on_events(self, session: Session, body: dict[str, Any]) -> None:
        view = self.view(body["stream"])
        fresh: list[tuple[Event, bool]] = []
        try:
            for fields in body["events"]:
                event = Event.of(view.stream, fields)
                if view.is_new(event):
                    fresh.append((event, view.add(event)))
                self._came_back(session, event)
        finally:  # A hole in the middle of a frame takes nothing from what came before it.
            self._store.keep(view, [event for event, _ in fresh], [])
        self._untold.add(view.stream)
        for event, late in fresh:
            self._listener.event(event, late)

    def _came_back(self, session: Session, event: Event) -> None:
        """An own event; sent by a region that is not its origin it is in two, also if it is dropped as seen."""
        entry = self.outbox.of_id(event.event_id) if event.author == session.user else None
        if entry is None:
            return
        if event.origin != session.origin:
            self._settle(entry, session)
        elif not entry.came_back:
            entry.came_back = True
            self._store.keep_entry(entry)

    def _on_gap(self, session: Session, body: dict[str, Any]) -> None:
        view = self.view(body["stream"])
        holes = view.gap(body["reason"], body.get("to", {}), body.get("from", {}))
        self._store.keep(view, [], holes)
        self._listener.gap(view.stream, body["reason"], holes)

    def _on_ack(self, session: Session, body: dict[str, Any]) -> None:
        for event_id in body.get("event_ids") or [body["event_id"]]:
            entry = self.outbox.of_id(event_id)
            if entry is None:
                continue
            if body["durability"] == "global":
                self._settle(entry, session)
            else:
                self.outbox.accepted(entry, body["region"])

    def _settle(self, entry: Entry, session: Session) -> None:
        self.outbox.settle(entry, session.region)
        self._store.drop_entry(entry)

    def _on_error(self, session: Session, body: dict[str, Any]) -> None:
        after = body.get("retry_after_ms")
        seconds = None if after is None else after / 1000
        event_id, stream = body.get("event_id"), body.get("stream")
        entry = self.outbox.of_id(event_id) if event_id else None
        if entry is not None:
            self._refused(entry, body, seconds)
        if stream in self._followed:
            session.heads.pop(stream, None)
            if seconds is not None:
                self._again_at[stream] = self._now() + seconds
            else:
                del self._followed[stream]
            self._listener.left(stream, body["code"])
        if not event_id and not stream:
            self._listener.other("error", body)

    def _refused(self, entry: Entry, body: dict[str, Any], seconds: float | None) -> None:
        if seconds is not None or body["code"] in PASSING:
            self.outbox.hold(entry, self._now(), seconds)
            return
        self.outbox.refuse(entry, Refused(body["code"], body.get("detail", "")))
        self._store.drop_entry(entry)
