"""A device for the integration test: commands as lines of JSON on standard input, what happens on standard output.

    {"publish": "text"}    publishes {"text": "text"}; told as accepted and safe
    {"ask": "outbox"}      answered with what is not yet safe
    {"ask": "view"}        answered with everything that the device has of the stream
    {"ask": "end"}         says goodbye and ends

Run by services/sterna/tests/python_client; there is nothing to call here by hand.
"""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict

from sterna_client import Client, Listener, Store


def tell(**what):
    print(json.dumps(what), flush=True)


class Told(Listener):
    def state(self, state, detail):
        tell(state=state, detail=detail)

    def event(self, event, late):
        tell(event=asdict(event), late=late)

    def gap(self, stream, reason, holes):
        tell(gap=reason, holes=[asdict(hole) for hole in holes])

    def left(self, stream, code):
        tell(left=code)

    def trouble(self, detail):
        tell(trouble=detail)


async def watch(text, publication):
    try:
        tell(accepted=text, region=await publication.accepted, event_id=publication.event_id)
        tell(safe=text, region=await publication.safe, event_id=publication.event_id)
    except Exception as refused:
        tell(refused=text, why=str(refused))


def outbox(client):
    return [{"text": entry.payload["text"], "event_id": entry.event_id, "tried": entry.tried}
            for entry in client.unsafe()]


def view(client, stream):
    view = client.view(stream)
    return {"shown": [asdict(event) for event in view.shown()], "all": [asdict(event) for event in view.all()],
            "cursor": view.cursor, "holes": [asdict(hole) for hole in view.holes]}


async def obey(client, stream):
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    watched = set()
    async for line in lines:
        command = json.loads(line)
        if "publish" in command:
            publication = client.publish(stream, {"text": command["publish"]})
            watched.add(asyncio.create_task(watch(command["publish"], publication)))
        elif command["ask"] == "outbox":
            tell(outbox=outbox(client))
        elif command["ask"] == "view":
            tell(view=view(client, stream))
        elif command["ask"] == "end":
            break
    await client.close()


async def main():
    parser = argparse.ArgumentParser()
    for name in ("--url", "--stream", "--storage"):
        parser.add_argument(name, required=True)
    parser.add_argument("--ping-interval-ms", type=int, default=8000)
    options = parser.parse_args()

    async def token():
        return os.environ["STERNA_TOKEN"]

    store = Store(options.storage)
    client = Client([options.url], token, store, Told(), options.ping_interval_ms)
    client.follow(options.stream)
    commands = asyncio.create_task(obey(client, options.stream))
    await client.run()
    await commands
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
