"""What survives the process, in one SQLite file: device id, cursors with events and holes, outbox, endpoints.

The device id is made with the file and dies with it: a copy of the file used beside the original is two devices
under one name. Everything that moves a cursor is one transaction together with what it moved for (rule 7).
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import asdict
from typing import Any, Iterable

from .outbox import Entry
from .view import Event, Hole, View

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (stream TEXT, origin TEXT, seq INTEGER NOT NULL, PRIMARY KEY (stream, origin));
CREATE TABLE IF NOT EXISTS events (stream TEXT, origin TEXT, seq INTEGER, body TEXT NOT NULL,
    PRIMARY KEY (stream, origin, seq));
CREATE TABLE IF NOT EXISTS holes (stream TEXT, origin TEXT, after INTEGER, upto INTEGER, reason TEXT);
CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY, stream TEXT, kind TEXT, payload TEXT NOT NULL,
    event_id TEXT, tried INTEGER NOT NULL, came_back INTEGER NOT NULL);
"""


class Store:
    """One device's memory. `path` may be `:memory:`: then the device is a new one at every start."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path)
        with self._db:
            self._db.executescript(SCHEMA)
        self.device = self.fact("device") or str(uuid.uuid4())
        self.keep_fact("device", self.device)

    def close(self) -> None:
        self._db.close()

    def fact(self, name: str) -> Any:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep_fact(self, name: str, value: Any) -> None:
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def view(self, stream: str) -> View:
        view = View(stream)
        cursor = dict(self._db.execute("SELECT origin, seq FROM cursors WHERE stream = ?", (stream,)))
        holes = self._db.execute("SELECT origin, after, upto, reason FROM holes WHERE stream = ?", (stream,))
        events = self._db.execute("SELECT body FROM events WHERE stream = ?", (stream,))
        view.restore(cursor, (Hole(*row) for row in holes), (Event(**json.loads(row[0])) for row in events))
        return view

    def keep(self, view: View, events: Iterable[Event], holes: Iterable[Hole]) -> None:
        """Events, holes and the cursor that they moved: all of it or nothing."""
        with self._db:
            for event in events:
                row = (event.stream, event.origin, event.seq, json.dumps(asdict(event)))
                self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)
            for hole in holes:
                row = (view.stream, hole.origin, hole.after, hole.to, hole.reason)
                self._db.execute("INSERT INTO holes VALUES (?, ?, ?, ?, ?)", row)
            for origin, seq in view.cursor.items():
                self._db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (view.stream, origin, seq))

    def outbox(self) -> list[Entry]:
        rows = self._db.execute("SELECT * FROM outbox ORDER BY number")
        return [
            Entry(number, stream, kind, json.loads(payload), event_id, bool(tried), bool(came_back))
            for number, stream, kind, payload, event_id, tried, came_back in rows
        ]

    def keep_entry(self, entry: Entry) -> None:
        row = (entry.number, entry.stream, entry.kind, json.dumps(entry.payload), entry.event_id,
               entry.tried, entry.came_back)
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def drop_entry(self, entry: Entry) -> None:
        with self._db:
            self._db.execute("DELETE FROM outbox WHERE number = ?", (entry.number,))
