"""One socket: frames out, frames in, liveness, and the code with which it ended.

It knows the envelope of a frame (an object with one key) and nothing of what the frames mean, except `ping`,
which it answers at once. What arrives goes to `handle`, one frame after the other.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from .retry import HOLE_SEEN, NO_CLOSE_FRAME, PEER_SILENT
from .view import HoleSeen

SUBPROTOCOL = "sterna.v1.json"
FRAME_BYTES_MAX = 64 * 1024
CONNECT_S = 5.0
CLOSE_S = 1.0
PROOF_S = 3.0
# How much longer than the server's interval of pings silence may last.
SILENCE_SLACK_S = 5.0
# Until `welcome` says how often the server pings.
GREETING_S = 10.0


Handle = Callable[["Session", str, Any], Awaitable[None]]


class NotOpened(Exception):
    """No WebSocket came about. `stop`: coming back would not help. `retry_after_s`: not before."""

    def __init__(self, problem: str, stop: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(problem)
        self.stop = stop
        self.retry_after_s = retry_after_s


class Session:
    """An open socket. `ended` is a task; its result is (code, reason), its exception the handler's."""

    def __init__(self, socket: ClientConnection, handle: Handle, token: str) -> None:
        self.token = token
        self._socket = socket
        self._handle = handle
        self._closed_by_us: tuple[int, str] | None = None
        self._heard_at = time.time()
        self._heard = asyncio.Event()
        self.silence_s = GREETING_S
        self.welcome: dict[str, Any] | None = None
        # The head of each stream that `subscribed` told on this socket.
        self.heads: dict[str, dict[str, int]] = {}
        self.ended = asyncio.create_task(self._read())

    @staticmethod
    async def open(url: str, handle: Handle, token: str) -> "Session":
        """Connects; `NotOpened` says why not. No compression, and no pings but the protocol's own."""
        opening = connect(url, subprotocols=[SUBPROTOCOL], compression=None, ping_interval=None,
                          max_size=FRAME_BYTES_MAX, open_timeout=CONNECT_S, close_timeout=CLOSE_S, proxy=None)
        try:
            return Session(await opening, handle, token)
        except InvalidStatus as answer:
            after = answer.response.headers.get("Retry-After", "0")
            status = answer.response.status_code
            stop = status in (400, 403)
            raise NotOpened(f"HTTP {status}", stop, float(after) if after.isdigit() else 0.0) from answer
        except (OSError, asyncio.TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as problem:
            raise NotOpened(f"{type(problem).__name__}: {problem}") from problem

    @property
    def origin(self) -> str:
        """The name under which this socket's region sequences; older servers name the region alone."""
        welcome = self.welcome or {}
        return welcome.get("origin") or self.region

    @property
    def region(self) -> str:
        return (self.welcome or {}).get("region", "")

    @property
    def user(self) -> str:
        return (self.welcome or {}).get("user", "")

    def take_welcome(self, welcome: dict[str, Any]) -> None:
        self.welcome = welcome
        self.silence_s = welcome["ping_interval_ms"] / 1000 + SILENCE_SLACK_S

    async def send(self, frame: dict[str, Any]) -> None:
        """Hands a frame to the socket. A socket that is gone shows in `ended`, not here."""
        try:
            await self._socket.send(json.dumps(frame, separators=(",", ":"), ensure_ascii=False))
        except ConnectionClosed:
            pass

    async def prove_alive(self) -> None:
        """Rule 19: after a sleep timers lie; if the wall clock says that it was silent for long, ask."""
        if time.time() - self._heard_at <= self.silence_s:
            return
        self._heard.clear()
        await self.send({"ping": {}})
        try:
            await asyncio.wait_for(self._heard.wait(), PROOF_S)
        except asyncio.TimeoutError:
            await self.close(PEER_SILENT, "peer_silent")

    async def close(self, code: int, reason: str) -> None:
        self._closed_by_us = self._closed_by_us or (code, reason)
        await self._socket.close(code, reason)

    def abandon(self) -> None:
        """Lets go of a socket that nobody needs, without waiting for it."""
        self.ended.cancel()
        self._socket.transport.abort()

    async def _read(self) -> tuple[int, str]:
        try:
            while True:
                text = await asyncio.wait_for(self._socket.recv(), self.silence_s)
                self._heard_at = time.time()
                self._heard.set()
                for name, body in json.loads(text).items():
                    if name == "ping":
                        await self.send({"pong": {}})
                    else:
                        await self._handle(self, name, body)
        except ConnectionClosed as closed:
            if self._closed_by_us:
                return self._closed_by_us
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (NO_CLOSE_FRAME, "")
        except asyncio.TimeoutError:
            return await self._end(PEER_SILENT, "peer_silent")
        except HoleSeen as hole:
            return await self._end(HOLE_SEEN, str(hole))

    async def _end(self, code: int, reason: str) -> tuple[int, str]:
        await self.close(code, reason[:120])
        return (code, reason)
