"""Rules 12 to 15: what is sent, when it is sent again, and when it is safe; and that a restart forgets nothing."""

import tempfile
import unittest
import uuid
from pathlib import Path

from sterna_client.outbox import Entry, Outbox, uuid7
from sterna_client.store import Store
from sterna_client.view import Event, Hole

STREAM = "acme/chat/general"


def filled(count, stream=STREAM):
    outbox = Outbox()
    for number in range(1, count + 1):
        outbox.add(Entry(number, stream, "message", {"n": number}, event_id=f"id-{number}"))
    return outbox


def send(outbox, now):
    due = outbox.due(now)
    for entry in due:
        outbox.sent(entry, now)
    return [entry.number for entry in due]


class Sending(unittest.TestCase):
    def test_an_id_is_a_uuid_of_version_7_and_carries_its_time(self):
        """Rule 12."""
        made = uuid.UUID(uuid7(1795214400000, bytes(range(10))))
        self.assertEqual((made.version, made.variant), (7, uuid.RFC_4122))
        self.assertEqual(made.int >> 80, 1795214400000)

    def test_no_more_than_the_limit_is_in_flight(self):
        """Rule 15."""
        outbox = filled(5)
        outbox.max_in_flight = 2
        self.assertEqual(send(outbox, 0), [1, 2])
        self.assertEqual(send(outbox, 1), [])
        outbox.accepted(outbox.entries[1], "us")
        self.assertEqual(send(outbox, 1), [3])

    def test_what_has_no_ack_after_ten_seconds_is_sent_again_marked(self):
        """Rule 13."""
        outbox = filled(1)
        self.assertNotIn("resend", outbox.entries[1].frame(None)["publish"])
        send(outbox, 0)
        self.assertEqual(send(outbox, 9.9), [])
        self.assertTrue(outbox.entries[1].frame(None)["publish"]["resend"])
        self.assertEqual(send(outbox, 10), [1])

    def test_on_a_new_socket_all_without_proof_is_sent_again_in_order(self):
        """Rule 13: also what one region acked, for that region may be gone."""
        outbox = filled(4)
        send(outbox, 0)
        outbox.accepted(outbox.entries[1], "us")
        outbox.entries[2].came_back = True
        safe = outbox.new_socket(lambda entry: entry.number == 3, moved=False)
        for entry in safe:
            outbox.settle(entry, "eu")
        self.assertEqual(send(outbox, 1), [1, 2, 4])

    def test_after_a_move_what_came_back_is_not_sent_again(self):
        """Section 8."""
        outbox = filled(3)
        send(outbox, 0)
        for number in (1, 2):
            outbox.accepted(outbox.entries[number], "us")
        outbox.entries[1].came_back = True
        outbox.new_socket(lambda entry: False, moved=True)
        self.assertEqual(send(outbox, 1), [2, 3])

    def test_a_refusal_for_a_while_stops_its_stream_alone(self):
        """Rule 22."""
        outbox = filled(2)
        outbox.add(Entry(3, "acme/chat/other", "message", {}, event_id="id-3"))
        outbox.hold(outbox.entries[1], now=0, seconds=0.8)
        self.assertEqual(send(outbox, 0.5), [3])
        self.assertEqual(send(outbox, 0.9), [1, 2])

    def test_it_says_when_to_look_again(self):
        outbox = filled(1)
        send(outbox, 5)
        self.assertEqual(outbox.next_due(8), [7])


class Keeping(unittest.TestCase):
    def test_a_restart_finds_device_cursor_events_holes_and_outbox(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "device.sqlite")
            store = Store(path)
            view = store.view(STREAM)
            event = Event(STREAM, "eu", 1, "0" * 16, "id-0", "ana", "message", {"text": "é"})
            view.add(event)
            holes = view.gap("expired", {"us": 7}, {})
            store.keep(view, [event], holes)
            entry = Entry(4, STREAM, "message", {"b": 1, "a": 2.0}, "id-4", tried=True)
            store.keep_entry(entry)
            device = store.device
            store.close()

            store = Store(path)
            self.addCleanup(store.close)
            again = store.view(STREAM)
            self.assertEqual(store.device, device)
            self.assertEqual(again.cursor, {"eu": 1, "us": 7})
            self.assertEqual(again.all(), [event])
            self.assertEqual(again.holes, [Hole("us", 0, 7, "expired")])
            self.assertEqual(store.outbox(), [entry])
            self.assertEqual(list(store.outbox()[0].payload), ["b", "a"])

    def test_events_and_cursor_are_one_transaction(self):
        """Rule 7."""
        store = Store(":memory:")
        view = store.view(STREAM)
        event = Event(STREAM, "eu", 1, "0" * 16, "id-0", "ana", "message", None)
        view.add(event)
        with self.assertRaises(Exception):
            store.keep(view, [event, event], [])
        self.assertEqual((store.view(STREAM).cursor, store.view(STREAM).all()), ({}, []))


if __name__ == "__main__":
    unittest.main()
