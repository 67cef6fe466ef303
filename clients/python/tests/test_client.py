"""The state machine against a scripted server on a loopback socket: liveness, codes, errors, moves."""

import asyncio
import json
import unittest

from websockets.asyncio.server import serve

from sterna_client import Client, Listener, Refused, Stopped, Store

STREAM = "acme/chat/general"
# Longest wait for a frame; only a broken client meets it.
BOUND_S = 30


class Socket:
    """One accepted socket, from the server's side: frames are awaited by name, others are skipped."""

    def __init__(self, socket):
        self._socket = socket
        self.done = asyncio.Event()

    async def send(self, name, **body):
        await self._socket.send(json.dumps({name: body}))

    async def get(self, name):
        while True:
            frame = json.loads(await asyncio.wait_for(self._socket.recv(), BOUND_S))
            if name in frame:
                return frame[name]

    async def close(self, code):
        await self._socket.close(code)

    async def closed(self):
        await asyncio.wait_for(self._socket.wait_closed(), BOUND_S)
        return self._socket.close_code


class Region:
    """A region of the script: hands every socket to the test."""

    def __init__(self, name):
        self.name = name
        self._accepted = asyncio.Queue()

    async def start(self):
        self._server = await serve(self._accept, "127.0.0.1", 0, subprotocols=["sterna.v1.json"])
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/connect"

    async def _accept(self, socket):
        accepted = Socket(socket)
        await self._accepted.put(accepted)
        await socket.wait_closed()

    async def socket(self):
        return await asyncio.wait_for(self._accepted.get(), BOUND_S)

    async def stop(self):
        self._server.close()
        await self._server.wait_closed()


def event(origin, seq, event_id=None, **more):
    return {"origin": origin, "seq": seq, "hlc": f"{seq:016x}", "event_id": event_id or f"{origin}-{seq}",
            "author": "bo", "kind": "message", "payload": {"n": seq}, **more}


class Heard(Listener):
    def __init__(self):
        self.states, self.events, self.gone = [], [], []

    def state(self, state, detail):
        self.states.append(state)

    def event(self, event, late):
        self.events.append((event.origin, event.seq))

    def left(self, stream, code):
        self.gone.append(code)


class Life(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.us, self.eu = Region("us"), Region("eu")
        for region in (self.us, self.eu):
            await region.start()
            self.addAsyncCleanup(region.stop)
        self.store, self.heard, self.tokens = Store(":memory:"), Heard(), 0
        self.no_token = False
        self.addCleanup(self.store.close)
        self.client = Client([self.us.url], self.token, self.store, self.heard, draw=lambda: 0.0)
        self.client.follow(STREAM)
        self.running = asyncio.create_task(self.client.run())
        self.addAsyncCleanup(self.end)

    async def end(self):
        await self.client.close()
        await asyncio.wait({self.running}, timeout=BOUND_S)

    async def token(self):
        if self.no_token:
            raise OSError("the issuer is away")
        self.tokens += 1
        return f"token {self.tokens}"

    async def greet(self, region, head=None, expires_ms=840000):
        """Takes the next socket of a region up to where it is current."""
        socket = await region.socket()
        socket.hello = await socket.get("hello")
        socket.cursor = (await socket.get("subscribe"))["streams"][0]["cursor"]
        endpoints = [{"region": each.name, "url": each.url} for each in (self.us, self.eu)]
        await socket.send("welcome", session="s", region=region.name, origin=region.name, tenant="acme", user="ana",
                          time_unix_ms=1795214400000, token_expires_in_ms=expires_ms, ping_interval_ms=25000,
                          limits={}, endpoints=endpoints)
        await socket.send("subscribed", streams=[{"stream": STREAM, "head": head or {}, "known": head or {}}])
        return socket

    async def test_it_answers_pings_and_resumes_from_its_cursor(self):
        """Rules 4, 7 and 18."""
        socket = await self.greet(self.us, {"us": 2})
        await socket.send("events", stream=STREAM, events=[event("us", 1), event("us", 2)])
        await socket.send("ping")
        await socket.get("pong")
        await socket.close(4001)
        socket = await self.greet(self.us, {"us": 2})
        self.assertEqual(socket.cursor, {"us": 2})

    async def test_a_hole_is_closed_with_4400_and_resumed(self):
        """Rule 7: what came before the hole is kept."""
        socket = await self.greet(self.us)
        await socket.send("events", stream=STREAM, events=[event("us", 1), event("us", 3)])
        self.assertEqual(await socket.closed(), 4400)
        self.assertEqual((await self.greet(self.us)).cursor, {"us": 1})

    async def test_a_token_that_expired_is_replaced_and_one_refused_twice_stops(self):
        """Section 5: 42xx."""
        for expected in ("token 1", "token 2"):
            socket = await self.us.socket()
            self.assertEqual((await socket.get("hello"))["token"], expected)
            await socket.close(4200)
        with self.assertRaises(Stopped):
            await asyncio.wait_for(self.running, BOUND_S)

    async def test_a_token_is_renewed_on_the_open_socket(self):
        """Rule 24."""
        socket = await self.greet(self.us, expires_ms=1)
        self.assertEqual((await socket.get("hello"))["token"], "token 2")

    async def test_a_publish_is_sent_acked_twice_and_forgotten(self):
        """Rules 12 and 14."""
        socket = await self.greet(self.us)
        said = self.client.publish(STREAM, {"text": "hi"})
        publish = await socket.get("publish")
        self.assertNotIn("resend", publish)
        await socket.send("ack", event_id=publish["event_id"], region="us", durability="region")
        self.assertEqual(await asyncio.wait_for(said.accepted, BOUND_S), "us")
        self.assertEqual(len(self.client.unsafe()), 1)
        await socket.send("ack", event_ids=[publish["event_id"]], region="us", durability="global")
        await asyncio.wait_for(said.safe, BOUND_S)
        self.assertEqual(self.store.outbox(), [])

    async def test_a_rate_is_waited_out_and_a_refusal_is_told(self):
        """Rule 22, section 6."""
        socket = await self.greet(self.us)
        said = self.client.publish(STREAM, {"text": "hi"})
        first = await socket.get("publish")
        await socket.send("error", code="rate_limited", event_id=first["event_id"], retry_after_ms=1)
        again = await socket.get("publish")
        self.assertEqual((again["event_id"], again["resend"]), (first["event_id"], True))
        await socket.send("error", code="forbidden", event_id=first["event_id"])
        with self.assertRaises(Refused):
            await asyncio.wait_for(said.accepted, BOUND_S)

    async def test_an_error_that_names_a_stream_is_an_end_or_a_pause(self):
        """Rule 25."""
        socket = await self.greet(self.us)
        await socket.send("error", code="policy_stale", stream=STREAM, retry_after_ms=1)
        await socket.get("subscribe")
        await socket.send("subscribed", streams=[{"stream": STREAM, "head": {}, "known": {}}])
        await socket.send("error", code="not_found", stream=STREAM)
        await socket.send("ping")
        await socket.get("pong")
        self.assertEqual(self.heard.gone, ["policy_stale", "not_found"])

    async def test_a_move_opens_the_second_socket_before_it_closes_the_first(self):
        """Section 8: both feed one cursor, what did not come back is sent again before anything new."""
        first = await self.greet(self.us)
        for text in ("came back", "did not"):
            self.client.publish(STREAM, {"text": text})
        ids = [(await first.get("publish"))["event_id"] for _ in range(2)]
        await first.send("events", stream=STREAM, events=[event("us", 1, ids[0], author="ana")])
        await first.send("move", to="eu", after_ms=0, deadline_ms=20000, reason="evacuation", ticket="mv1")
        second = await self.greet(self.eu, {"us": 1, "eu": 1})
        self.assertEqual((second.hello["ticket"], second.cursor), ("mv1", {"us": 1}))
        self.client.publish(STREAM, {"text": "new"})
        await first.send("events", stream=STREAM, events=[event("us", 2)])
        await second.send("events", stream=STREAM, events=[event("us", 2), event("eu", 1)])
        self.assertEqual(await first.closed(), 1000)
        sent = [await second.get("publish") for _ in range(2)]
        self.assertEqual([each["payload"]["text"] for each in sent], ["did not", "new"])
        self.assertEqual((sent[0]["event_id"], sent[0].get("resend")), (ids[1], True))
        self.assertEqual(sorted(self.heard.events), [("eu", 1), ("us", 1), ("us", 2)])

    async def test_a_target_that_refuses_is_told_and_the_first_goes_on(self):
        """Section 8."""
        first = await self.greet(self.us)
        await first.send("move", to="eu", after_ms=0, deadline_ms=20000, reason="evacuation", ticket="mv1")
        await (await self.eu.socket()).close(1013)
        self.assertEqual((await first.get("move_failed"))["to"], "eu")
        self.client.publish(STREAM, {"text": "hi"})
        await first.get("publish")

    async def test_a_token_that_the_target_refuses_does_not_end_the_first(self):
        """Section 8: a code that stops a client on its only socket (4201, 4300) says nothing of the other one."""
        first = await self.greet(self.us)
        for code in (4201, 4201, 4300):
            await first.send("move", to="eu", after_ms=0, deadline_ms=20000, reason="evacuation")
            second = await self.eu.socket()
            await second.get("hello")
            await second.send("error", code="token_invalid", detail="another issuer")
            await second.close(code)
            self.assertEqual((await first.get("move_failed"))["to"], "eu")
        self.client.publish(STREAM, {"text": "hi"})
        await first.get("publish")
        self.assertFalse(self.running.done())

    async def test_a_move_without_a_token_fails_and_the_first_goes_on(self):
        """Section 8: whoever issues tokens may be away for a moment."""
        first = await self.greet(self.us)
        self.no_token = True
        await first.send("move", to="eu", after_ms=0, deadline_ms=20000, reason="evacuation")
        self.assertEqual(await first.get("move_failed"), {"to": "eu", "reason": "no_token"})
        self.client.publish(STREAM, {"text": "hi"})
        await first.get("publish")
        self.no_token = False
        await first.send("move", to="eu", after_ms=0, deadline_ms=20000, reason="evacuation")
        await self.greet(self.eu)
        self.assertEqual(await first.closed(), 1000)

    async def test_a_move_to_a_region_that_nobody_listed_is_ignored(self):
        """Section 8."""
        first = await self.greet(self.us)
        await first.send("move", to="mars", after_ms=0, deadline_ms=20000, reason="evacuation")
        self.client.publish(STREAM, {"text": "hi"})
        await first.get("publish")
        await first.close(4000)
        await self.greet(self.us)


if __name__ == "__main__":
    unittest.main()
