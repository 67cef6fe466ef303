"""What a device holds of one stream: its cursor, the events it shows, the holes it knows of.

Rules 7 to 11 of section 4; nothing else touches a cursor. Pure. The owner writes each change to its store
before anybody is shown it (`client.Client`), and takes a view from its store when it starts (`restore`).
"""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass
from typing import Any, Iterable


class HoleSeen(Exception):
    """An event that is not the next of its origin: the server broke rule 2. Close with 4400 and resume."""


@dataclass(frozen=True)
class Event:
    """One event as the server sent it; `payload` is any JSON value."""

    stream: str
    origin: str
    seq: int
    hlc: str
    event_id: str
    author: str
    kind: str
    payload: Any
    resend: bool = False
    erased: bool = False

    @staticmethod
    def of(stream: str, fields: dict[str, Any]) -> "Event":
        """From one entry of an `events` frame; fields that this client does not know are ignored."""
        return Event(
            stream=stream,
            origin=fields["origin"],
            seq=fields["seq"],
            hlc=fields["hlc"],
            event_id=fields["event_id"],
            author=fields["author"],
            kind=fields["kind"],
            payload=fields.get("payload"),
            resend=bool(fields.get("resend", False)),
            erased=bool(fields.get("erased", False)),
        )

    @property
    def position(self) -> tuple[str, str, int]:
        """Where it is shown: (hlc, origin, seq). The hlc is text that sorts as the number does."""
        return (self.hlc, self.origin, self.seq)

    def is_twin_of(self, other: "Event") -> bool:
        """One message that was sequenced in two regions, because its author sent it again (rule 10)."""
        return (
            (self.resend or other.resend)
            and self.event_id == other.event_id
            and self.author == other.author
            and self.kind == other.kind
            and same_json(self.payload, other.payload)
        )


@dataclass(frozen=True)
class Hole:
    """The seqs `after < seq <= to` of an origin, which the server said will not come, and why."""

    origin: str
    after: int
    to: int
    reason: str


def same_json(one: Any, other: Any) -> bool:
    """Equal as JSON: `1`, `1.0` and `true` are three values, as they are in the text that was sent."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class View:
    """One stream. `cursor` is the highest contiguous seq of each origin; an origin that is missing is at 0."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.cursor: dict[str, int] = {}
        self.holes: list[Hole] = []
        self._positions: list[tuple[str, str, int]] = []
        self._events: dict[tuple[str, str, int], Event] = {}
        self._copies: dict[tuple[str, str], list[Event]] = {}

    def restore(self, cursor: dict[str, int], holes: Iterable[Hole], events: Iterable[Event]) -> None:
        """Takes over what a store kept."""
        self.cursor = dict(cursor)
        self.holes = list(holes)
        for event in events:
            self._insert(event)

    def is_new(self, event: Event) -> bool:
        """Rule 7: false if the event is to be dropped; raises `HoleSeen` if it comes too early."""
        have = self.cursor.get(event.origin, 0)
        if event.seq <= have:
            return False
        if event.seq > have + 1:
            raise HoleSeen(f"{event.stream}: {event.origin} came with {event.seq} after {have}")
        return True

    def add(self, event: Event) -> bool:
        """Takes the next event of its origin; true if it landed above the newest (a late insertion)."""
        if not self.is_new(event):
            raise ValueError("an event that was already taken")
        self.cursor[event.origin] = event.seq
        return self._insert(event)

    def gap(self, reason: str, to: dict[str, int], start: dict[str, int]) -> list[Hole]:
        """Rules 8 and 9: moves the cursor over what will not come; the holes are those that are new.

        Raises `HoleSeen` if it begins beyond the cursor: what lies between was neither sent nor told.
        """
        if reason == "waiting":
            return []
        if not self.is_current(start):
            raise HoleSeen(f"{self.stream}: a gap from {start} at {self.cursor}")
        new = []
        for origin in sorted(to):
            have = self.cursor.get(origin, 0)
            if have < to[origin]:
                new.append(Hole(origin, have, to[origin], reason))
                self.cursor[origin] = to[origin]
        self.holes.extend(new)
        return new

    def is_current(self, head: dict[str, int]) -> bool:
        """Whether everything up to `head` was received or told as a gap."""
        return all(self.cursor.get(origin, 0) >= seq for origin, seq in head.items())

    def shown(self) -> list[Event]:
        """The events in display order, of twins only the first."""
        return [event for event in self.all() if not self.is_hidden(event)]

    def all(self) -> list[Event]:
        """Every event that was received, in display order, twins too."""
        return [self._events[position] for position in self._positions]

    def is_hidden(self, event: Event) -> bool:
        """Whether a twin of it stands at a smaller display position."""
        copies = self._copies.get((event.author, event.event_id), [])
        return any(copy.position < event.position and copy.is_twin_of(event) for copy in copies)

    def newest_hlc(self) -> str | None:
        """The largest hlc of what is shown: the `seen` of a publish (rule 16)."""
        return self._positions[-1][0] if self._positions else None

    def copies(self, author: str, event_id: str) -> list[Event]:
        """Every event of this author under this id, shown or not."""
        return list(self._copies.get((author, event_id), []))

    def _insert(self, event: Event) -> bool:
        late = bool(self._positions) and event.position < self._positions[-1]
        bisect.insort(self._positions, event.position)
        self._events[event.position] = event
        self._copies.setdefault((event.author, event.event_id), []).append(event)
        return late
