"""What the device wants published and does not yet know to be safe in two regions.

Rules 12 to 15 of section 4 and "keep until global" of section 13. Pure: the owner gives the time (seconds of a
clock that only goes forward) and writes an entry to its store before it sends it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Callable

ACK_WAIT_S = 10.0
DEFAULT_IN_FLIGHT = 32
# After a refusal that may pass but names no time.
DEFAULT_HOLD_S = 1.0


class Refused(Exception):
    """The server will not take this publish; `code` is its error code."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code} {detail}".rstrip())
        self.code = code


def uuid7(unix_ms: int, random_bytes: bytes) -> str:
    """A UUIDv7 of a time and ten random bytes."""
    value = int.from_bytes(unix_ms.to_bytes(6, "big") + random_bytes[:10], "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Publication:
    """What the application holds of one publish: `accepted` (safe in one region) and `safe` (in two)."""

    def __init__(self) -> None:
        self.event_id: str | None = None
        loop = asyncio.get_running_loop()
        self.accepted: asyncio.Future[str] = loop.create_future()
        self.safe: asyncio.Future[str] = loop.create_future()

    def _settle(self, future: asyncio.Future, region: str) -> None:
        if not future.done():
            future.set_result(region)

    def _fail(self, problem: Exception) -> None:
        for future in (self.accepted, self.safe):
            if not future.done():
                future.set_exception(problem)
                future.exception()  # An application that never looks is not told off by asyncio.


@dataclass
class Entry:
    """One publish. The first group survives the process; the second is about the current socket."""

    number: int
    stream: str
    kind: str
    payload: Any
    event_id: str | None = None
    # Sent at least once: every further time it carries `resend`.
    tried: bool = False
    # It came back as an event from the region that sequenced it.
    came_back: bool = False
    # When it was sent on the current socket, and whether it was acked there.
    sent_at: float | None = None
    acked_here: bool = False
    publication: Publication | None = field(default=None, repr=False)

    def frame(self, seen: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {"stream": self.stream, "event_id": self.event_id, "kind": self.kind}
        body["payload"] = self.payload
        if seen is not None:
            body["seen"] = seen
        if self.tried:
            body["resend"] = True
        return {"publish": body}


class Outbox:
    """All entries, in the order in which the application published them."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.max_in_flight = DEFAULT_IN_FLIGHT
        # Set while nothing may be sent though a socket is live.
        self.paused = False
        self._held: dict[str, float] = {}

    def add(self, entry: Entry) -> None:
        self.entries[entry.number] = entry

    def of_id(self, event_id: str) -> Entry | None:
        return next((each for each in self.entries.values() if each.event_id == event_id), None)

    def new_socket(self, is_safe: Callable[[Entry], bool], moved: bool) -> list[Entry]:
        """Rule 13: forgets the old socket; gives what needs no second ack because `is_safe` proves it.

        After a `move` the region that was left is alive: what came back from there is not sent again
        (section 8), its mirrors bring it. After anything else it is.
        """
        self._held.clear()
        self.paused = False
        safe = [each for each in self.entries.values() if each.tried and is_safe(each)]
        for entry in self.entries.values():
            if not (moved and entry.came_back):
                entry.sent_at, entry.acked_here = None, False
        return safe

    def due(self, now: float) -> list[Entry]:
        """What to send now: in order per stream, at most `max_in_flight` without an ack."""
        if self.paused:
            return []
        waiting = [each for each in self.entries.values() if not each.acked_here]
        room = self.max_in_flight - sum(each.sent_at is not None for each in waiting)
        due, blocked = [], set()
        for entry in waiting:
            if entry.stream in blocked or self._held.get(entry.stream, now) > now:
                continue
            if entry.sent_at is not None:
                if now - entry.sent_at >= ACK_WAIT_S:
                    due.append(entry)
                continue
            if room <= 0:
                blocked.add(entry.stream)
                continue
            room -= 1
            due.append(entry)
        return due

    def next_due(self, now: float) -> list[float]:
        """In how many seconds `due` may have something new without anything having arrived."""
        if self.paused:
            return []
        sent = [each.sent_at for each in self.entries.values() if each.sent_at is not None and not each.acked_here]
        return [at + ACK_WAIT_S - now for at in sent] + [at - now for at in self._held.values() if at > now]

    def sent(self, entry: Entry, now: float) -> None:
        entry.tried, entry.sent_at = True, now

    def accepted(self, entry: Entry, region: str) -> None:
        """The first ack: safe in one region. It stays, for that region may die."""
        entry.acked_here = True
        if entry.publication is not None:
            entry.publication._settle(entry.publication.accepted, region)

    def settle(self, entry: Entry, region: str) -> None:
        """It is in two regions."""
        self.entries.pop(entry.number, None)
        if entry.publication is not None:
            entry.publication._settle(entry.publication.accepted, region)
            entry.publication._settle(entry.publication.safe, region)

    def refuse(self, entry: Entry, problem: Refused) -> None:
        self.entries.pop(entry.number, None)
        if entry.publication is not None:
            entry.publication._fail(problem)

    def hold(self, entry: Entry, now: float, seconds: float | None) -> None:
        """Not taken, or unknown whether: again after `seconds`, and nothing of its stream before."""
        entry.sent_at = None
        until = now + (DEFAULT_HOLD_S if seconds is None else seconds)
        self._held[entry.stream] = max(self._held.get(entry.stream, until), until)
