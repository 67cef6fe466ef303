"""When and where to connect again: advice by close code, back-off with full jitter, the list of endpoints.

Section 5 and the states `connecting` and `waiting` of section 7. Pure: time comes in as seconds of any clock
that only goes forward, randomness as a function.
"""

from __future__ import annotations

import enum
from typing import Any, Callable

# Seconds, all from section 5.
FIRST_CEILING_S = 0.5
CEILING_S = 30.0
SOON_S = 1.0
TWICE_WITHIN_S = 60.0
PROVEN_AFTER_S = 60.0
OVERLOADED_S = 5.0
QUICK_END_S = 10.0
QUICK_ENDS = 5
QUICK_ENDS_WAIT_S = 60.0
# Failed attempts at one endpoint before the next one is tried (section 7).
FAILURES_PER_ENDPOINT = 2


class Stopped(Exception):
    """The client stopped for good; `code` is the close code, `reason` what the server said."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Advice(enum.Enum):
    """What a close code asks of the client."""

    SOON = "come back at once"
    BACK_OFF = "come back with back-off"
    NEW_TOKEN = "get a new token, then come back"
    STOP = "stop and tell the application"


# What the client itself closes with: both mean "this socket is no good", and the client comes back.
HOLE_SEEN = 4400
PEER_SILENT = 4401
MOVED = 4000
OVERLOADED = 1013
NO_CLOSE_FRAME = 1006


def blames_endpoint(code: int) -> bool:
    """Whether an attempt that ended so before its `welcome` speaks for trying the next endpoint."""
    return advice(code) is Advice.BACK_OFF and code != OVERLOADED


def advice(code: int) -> Advice:
    """Total over all codes, also those that do not exist yet."""
    if code in (HOLE_SEEN, PEER_SILENT):
        return Advice.BACK_OFF
    if 4000 <= code <= 4999:
        by_hundred = {40: Advice.SOON, 41: Advice.BACK_OFF, 42: Advice.NEW_TOKEN}
        return by_hundred.get(code // 100, Advice.STOP)
    if code in (1002, 1003, 1007, 1008, 1009, 1010):
        return Advice.STOP
    return Advice.BACK_OFF


class Endpoints:
    """Where to connect: what `welcome` listed, then what the application gave (the DNS name)."""

    def __init__(self, given: list[str]) -> None:
        if not given:
            raise ValueError("a client needs the URL of one endpoint at least")
        self.given = list(given)
        self.listed: list[dict[str, str]] = []
        self._current = given[0]
        self._failures = 0

    @property
    def current(self) -> str:
        return self._current

    def is_cold(self) -> bool:
        """Whether the current one is the application's and not one that a region listed."""
        return self._current in self.given

    def url_of(self, region: str) -> str | None:
        return next((each["url"] for each in self.listed if each["region"] == region), None)

    def learn(self, region: str, listed: list[dict[str, str]]) -> None:
        """Takes over the endpoints of a `welcome` from `region`, and stays with that region."""
        self._failures = 0
        self.listed = listed or self.listed
        self._current = self.url_of(region) or self._current

    def go_to(self, region: str) -> None:
        """To the region of a `move`; one that nobody listed is not gone to."""
        self._current = self.url_of(region) or self._current

    def failed(self) -> None:
        """No `welcome` came; the second time in a row it is the next one's turn."""
        self._failures += 1
        if self._failures < FAILURES_PER_ENDPOINT:
            return
        self._failures = 0
        ring = list(dict.fromkeys([each["url"] for each in self.listed] + self.given))
        at = ring.index(self._current) if self._current in ring else -1
        self._current = ring[(at + 1) % len(ring)]


class Retry:
    """How long to wait before the next attempt. `draw` gives a random number from 0 up to, not with, 1."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._tries = 0
        self._soon_at: float | None = None
        self._refused_token: int | None = None
        self._quick: tuple[Any, int] = (None, 0)
        self._next_delay: float | None = None

    def delay(self) -> float:
        """Seconds until the next attempt; full jitter, also before the very first."""
        if self._next_delay is None:
            self._next_delay = self._full_jitter()
        delay, self._next_delay = self._next_delay, None
        return delay

    def welcomed(self) -> None:
        """The token was good."""
        self._refused_token = None

    def ended(self, code: int, reason: str, now: float, opened: float, lived: float) -> bool:
        """A socket, or an attempt at one (1006), ended with `code`.

        `opened` is when the attempt began, `lived` how long the session was live, in seconds. Raises `Stopped`
        if that is what the code says; true if the application should hear that it goes wrong again and again.
        """
        if lived >= PROVEN_AFTER_S:
            self._tries = 0
        what = advice(code)
        if what is Advice.NEW_TOKEN and self._refused_token == code:
            what = Advice.STOP
        if what is Advice.STOP:
            raise Stopped(code, reason)
        if what is Advice.NEW_TOKEN:
            self._refused_token = code
        if what is Advice.SOON and self._is_first_soon(now):
            self._next_delay = self._draw() * SOON_S
        else:
            self._next_delay = self._full_jitter()
        if code == OVERLOADED:
            self._next_delay += OVERLOADED_S
        return self._again_and_again((code, reason), quick=now - opened < QUICK_END_S)

    def not_before(self, seconds: float) -> None:
        """`Retry-After` of an answer to the upgrade; jitter comes on top, or all would come at once."""
        self._next_delay = (self._next_delay or 0.0) + seconds

    def _full_jitter(self) -> float:
        ceiling = min(CEILING_S, FIRST_CEILING_S * 2.0 ** min(self._tries, 16))
        self._tries += 1
        return self._draw() * ceiling

    def _is_first_soon(self, now: float) -> bool:
        first = self._soon_at is None or now - self._soon_at >= TWICE_WITHIN_S
        self._soon_at = now
        return first

    def _again_and_again(self, way: Any, quick: bool) -> bool:
        count = self._quick[1] + 1 if quick and self._quick[0] == way else int(quick)
        self._quick = (way, count)
        if count < QUICK_ENDS:
            return False
        self._next_delay = (self._next_delay or 0.0) + QUICK_ENDS_WAIT_S
        return True
