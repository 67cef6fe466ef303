"""The state machine of section 7: waiting, connecting, greeting, catching up, live, moving, stopped.

`run` reads as the client's life. One loop (`_live`) owns everything that is sent while a socket is live; what
arrives goes to the `Device`. An exception that is no network trouble (a full disk, a frame without its fields)
ends `run`: better than showing what is not kept.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Awaitable, Callable

from .device import Device, Listener
from .outbox import Entry, Publication
from .retry import MOVED, NO_CLOSE_FRAME, PEER_SILENT, Endpoints, Retry, Stopped, blames_endpoint
from .session import GREETING_S, NotOpened, Session
from .store import Store
from .view import View

CATCH_UP_S = 5.0


class Client:
    """One device's connection. `token` is asked for a fresh token before every socket and every renewal."""

    def __init__(self, endpoints: list[str], token: Callable[[], Awaitable[str]], store: Store,
                 listener: Listener | None = None, ping_interval_ms: int = 8000,
                 draw: Callable[[], float] = random.random) -> None:
        self._token = token
        self._listener = listener or Listener()
        self._endpoints = Endpoints(endpoints)
        self._retry = Retry(draw)
        self._changes = 0
        self._change = asyncio.Event()
        self._device = Device(store, self._listener, self._endpoints, ping_interval_ms, self._now, self._changed)
        # The second socket of a move from its `welcome` on, the task that brings it up, where it goes.
        self._second: Session | None = None
        self._moving: asyncio.Task | None = None
        self._target: str | None = None
        self._closing = False
        # Set while `run` has nothing open.
        self._closed = asyncio.Event()
        self._closed.set()

    def follow(self, stream: str, tail: int | None = None) -> View:
        """Follows a stream from this device's own cursor; `tail` bounds what a first time brings."""
        return self._device.follow(stream, tail)

    def view(self, stream: str) -> View:
        """What the device has of a stream, followed or not, connected or not."""
        return self._device.view(stream)

    def publish(self, stream: str, payload: Any, kind: str = "message") -> Publication:
        """Keeps it and sends it as soon as that is possible, in this process or in the next one."""
        return self._device.publish(stream, kind, payload)

    def unsafe(self) -> list[Entry]:
        """What is not yet known to be in two regions."""
        return list(self._device.outbox.entries.values())

    async def close(self) -> None:
        """Says goodbye, in whatever state it is; returns when `run` has nothing open any more."""
        self._closing = True
        self._changed()
        await self._closed.wait()

    async def run(self) -> None:
        """Until `close`; raises `Stopped` when a close code says so."""
        self._closed.clear()
        try:
            while not self._closing:
                await self._wait(self._retry.delay())
                if not self._closing:
                    await self._connect_once()
        except Stopped as stopped:
            self._listener.state("stopped", str(stopped))
            raise
        finally:
            self._closed.set()

    async def _wait(self, seconds: float) -> None:
        self._listener.state("waiting", f"{seconds:.2f} s")
        deadline = self._now() + seconds
        while not self._closing and self._now() < deadline:
            await self._sleep(None, deadline - self._now())

    async def _connect_once(self) -> None:
        """One attempt and, if it succeeds, everything until its socket (after moves: the last one) is gone."""
        opened, live_at, after_s = self._now(), None, 0.0
        self._second, self._target = None, None
        self._listener.state("connecting", self._endpoints.current)
        try:
            session = await self._greet(self._endpoints.current, None, await self._token())
            if session.welcome is not None:
                self._retry.welcomed()
                session, live_at = await self._stay(session)
            code, reason = session.ended.result()
            if live_at is None and blames_endpoint(code):
                self._endpoints.failed()
        except NotOpened as problem:
            self._endpoints.failed()
            code, reason, after_s = NO_CLOSE_FRAME, str(problem), problem.retry_after_s
            if problem.stop:
                raise Stopped(code, reason) from problem
        if self._closing:
            return
        if code == MOVED and self._target is not None:
            self._endpoints.go_to(self._target)
        lived = 0.0 if live_at is None else self._now() - live_at
        if self._retry.ended(code, reason, self._now(), opened, lived):
            self._listener.trouble(f"{code} {reason}")
        self._retry.not_before(after_s)

    async def _greet(self, url: str, ticket: str | None, token: str) -> Session:
        """Opens a socket, says `hello` and every `subscribe`; returns with its `welcome` or its end."""
        session = await Session.open(url, self._on_frame, token)
        try:
            await session.send(self._device.hello(session.token, ticket))
            for frame in self._device.subscribe_all():
                await session.send(frame)
            deadline = self._now() + GREETING_S
            while self._goes_on(session, deadline) and session.welcome is None:
                await self._sleep(session, deadline - self._now())
            if session.welcome is None and not session.ended.done():
                await session.close(1000 if self._closing else PEER_SILENT, "no welcome")
                await session.ended
            return session
        except asyncio.CancelledError:
            session.abandon()
            raise

    async def _stay(self, session: Session) -> tuple[Session, float]:
        """Catching up and live, over any number of moves; the socket that ended, and since when it was live."""
        moved = False
        while True:
            if not moved:
                self._listener.state("catching_up", session.region)
                await self._caught_up(session, CATCH_UP_S)
            self._device.resume_outbox(session, moved)
            if moved:
                self._device.follow_missing(session)
            live_at = self._now()
            self._listener.state("live", session.region)
            second = await self._live(session)
            if second is None:
                return session, live_at
            session, moved = second, True
            self._second, self._target = None, None

    async def _caught_up(self, session: Session, seconds: float) -> None:
        """Until everything up to the heads is here, the socket is gone, or the time is over."""
        deadline = self._now() + seconds
        while self._goes_on(session, deadline) and not self._device.is_current(session):
            await self._sleep(session, deadline - self._now())

    def _goes_on(self, session: Session, deadline: float) -> bool:
        return not session.ended.done() and not self._closing and self._now() < deadline

    async def _live(self, session: Session) -> Session | None:
        """Sends what is due until the socket is gone; the second socket of a move, if there is a good one."""
        while not session.ended.done():
            if self._closing or (self._second is not None and self._moving is None):
                await session.close(1000, "")
                await session.ended
            else:
                seen = self._changes
                await self._send_due(session)
                if seen == self._changes:
                    await self._sleep(session, self._device.next_timer(self._now()))
        if self._second is not None and self._moving is not None:
            await self._moving  # Welcomed already: it is given the time to become current.
        elif self._moving is not None:
            self._moving.cancel()
            self._moving = None
        second = self._second
        if second is not None and self._closing:
            await second.close(1000, "")
            await second.ended
        return None if second is None or second.ended.done() else second

    async def _send_due(self, session: Session) -> None:
        now = self._now()
        for frame in self._device.upkeep(now):
            await session.send(frame)
        if self._device.renew_at is not None and now >= self._device.renew_at:
            self._device.renew_at = None
            await session.send(self._device.hello(await self._token(), None))
        # From the second socket's welcome on nothing new is sent until it is the only one (section 8).
        self._device.outbox.paused = self._second is not None
        due = self._device.outbox.due(now)
        if due:
            await session.prove_alive()
        for entry in due:
            await session.send(self._device.publish_frame(entry))

    async def _move(self, session: Session, move: dict[str, Any], replaced: Session | None) -> None:
        """Opens the second socket before the first is closed; `_live` goes on with it when this is done."""
        deadline = self._now() + move["deadline_ms"] / 1000
        if replaced is not None:
            await replaced.close(1000, "")
        await asyncio.sleep(move["after_ms"] / 1000)
        self._listener.state("moving", move["to"])
        problem = "refused"
        try:
            token = await self._token()
        except Exception as failed:  # The application's; the first socket's token is good as long as it is.
            self._listener.trouble(f"no token for a second socket: {failed!r}")
            token, problem = None, "no_token"
        try:
            if token is None:
                raise NotOpened(problem)
            second = await self._greet(self._endpoints.url_of(move["to"]) or "", move.get("ticket"), token)
            if second.welcome is not None:
                self._second = second
                await self._caught_up(second, max(0.0, deadline - self._now()))
        except NotOpened as not_opened:
            problem = str(not_opened)
        if self._second is None or self._second.ended.done():
            self._second = None
            await session.send({"move_failed": {"to": move["to"], "reason": problem}})
        self._moving = None
        self._changed()

    async def _on_frame(self, session: Session, name: str, body: Any) -> None:
        if name != "move":
            self._device.on_frame(session, name, body)
            return
        if self._endpoints.url_of(body["to"]) is None or session is self._second:
            return  # A region that it does not know it ignores, and meets 4000 at the deadline.
        if self._moving is not None:
            self._moving.cancel()
        self._target = body["to"]
        replaced, self._second = self._second, None
        self._moving = asyncio.create_task(self._move(session, body, replaced))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _changed(self) -> None:
        """Wakes everybody who sleeps now; `_changes` lets the rest notice that they missed it."""
        self._changes += 1
        self._change.set()
        self._change = asyncio.Event()

    async def _sleep(self, session: Session | None, seconds: float | None) -> None:
        """Until something changed, the socket ended, or the time is over."""
        waking = asyncio.create_task(self._change.wait())
        ends = {waking} if session is None else {waking, session.ended}
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
