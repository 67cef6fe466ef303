"""Rules 7 to 11: what an event and a gap do to a cursor, and in which order a stream is shown."""

import random
import unittest

from sterna_client.view import Event, Hole, HoleSeen, View


def event(origin, seq, hlc, event_id=None, **more):
    fields = {"origin": origin, "seq": seq, "hlc": f"{hlc:016x}", "event_id": event_id or f"{origin}-{seq}",
              "author": "ana", "kind": "message", "payload": {"text": "hi"}}
    return Event.of("acme/chat/general", {**fields, **more})


def shown(view):
    return [(each.origin, each.seq) for each in view.shown()]


class Cursor(unittest.TestCase):
    def setUp(self):
        self.view = View("acme/chat/general")

    def test_the_next_event_moves_the_cursor(self):
        """Rule 7."""
        self.assertFalse(self.view.add(event("eu", 1, 10)))
        self.assertEqual(self.view.cursor, {"eu": 1})

    def test_an_event_at_or_below_the_cursor_is_dropped(self):
        """Rule 7."""
        self.view.add(event("eu", 1, 10))
        self.assertFalse(self.view.is_new(event("eu", 1, 10)))
        self.assertEqual(self.view.cursor, {"eu": 1})

    def test_an_event_that_leaves_one_out_is_a_broken_server(self):
        """Rule 7."""
        with self.assertRaises(HoleSeen):
            self.view.add(event("eu", 2, 10))
        self.assertEqual((self.view.cursor, shown(self.view)), ({}, []))

    def test_origins_are_independent(self):
        """Rule 2."""
        self.view.add(event("eu", 1, 10))
        self.view.add(event("us", 1, 5))
        self.assertEqual(self.view.cursor, {"eu": 1, "us": 1})

    def test_an_unknown_kind_moves_the_cursor(self):
        """Rule 11."""
        self.view.add(event("eu", 1, 10, kind="from-the-future"))
        self.assertEqual((self.view.cursor, shown(self.view)), ({"eu": 1}, [("eu", 1)]))

    def test_every_order_of_two_sockets_gives_one_view(self):
        """Section 8: two sockets feed one cursor during a move; each is in order, both together are not."""
        sent = [event(origin, seq, 100 * seq + index) for seq in range(1, 9) for index, origin in
                enumerate(("ap", "eu", "us"))]
        for seed in range(200):
            chance, view = random.Random(seed), View("acme/chat/general")
            sockets = [sorted(sent, key=lambda each: each.seq) for _ in range(2)]
            while any(sockets):
                arrived = chance.choice([each for each in sockets if each]).pop(0)
                if view.is_new(arrived):
                    view.add(arrived)
            self.assertEqual(shown(view), [(each.origin, each.seq) for each in sorted(sent, key=lambda e: e.hlc)])


class Gaps(unittest.TestCase):
    def setUp(self):
        self.view = View("acme/chat/general")
        for seq in (1, 2, 3):
            self.view.add(event("eu", seq, seq))

    def test_a_gap_moves_the_cursor_and_leaves_a_hole(self):
        """Rule 8."""
        self.assertEqual(self.view.gap("skipped", {"eu": 9, "us": 4}, {"eu": 3}),
                         [Hole("eu", 3, 9, "skipped"), Hole("us", 0, 4, "skipped")])
        self.assertEqual(self.view.cursor, {"eu": 9, "us": 4})
        self.view.add(event("eu", 10, 10))

    def test_a_gap_behind_the_cursor_changes_nothing(self):
        """Rule 8: max."""
        self.assertEqual(self.view.gap("expired", {"eu": 2}, {}), [])
        self.assertEqual(self.view.cursor, {"eu": 3})

    def test_a_gap_that_begins_beyond_the_cursor_is_a_broken_server(self):
        """Rule 8."""
        with self.assertRaises(HoleSeen):
            self.view.gap("expired", {"eu": 9}, {"eu": 5})
        self.assertEqual(self.view.cursor, {"eu": 3})

    def test_a_hole_begins_where_the_cursor_stands(self):
        """Rule 8: (max(from, c), to]."""
        self.assertEqual(self.view.gap("lost", {"eu": 9}, {"eu": 1}), [Hole("eu", 3, 9, "lost")])

    def test_a_reason_from_the_future_is_a_hole_too(self):
        """Rule 8."""
        self.assertEqual(self.view.gap("folded", {"eu": 5}, {"eu": 3}), [Hole("eu", 3, 5, "folded")])

    def test_waiting_moves_nothing(self):
        """Rule 9."""
        self.assertEqual(self.view.gap("waiting", {"eu": 9}, {"eu": 3}), [])
        self.assertEqual((self.view.cursor, self.view.holes), ({"eu": 3}, []))


class Order(unittest.TestCase):
    def setUp(self):
        self.view = View("acme/chat/general")

    def test_order_is_hlc_then_origin_then_seq(self):
        """Rule 10."""
        for each in (event("us", 1, 7), event("eu", 1, 7), event("eu", 2, 7), event("ap", 1, 9)):
            self.view.add(each)
        self.assertEqual(shown(self.view), [("eu", 1), ("eu", 2), ("us", 1), ("ap", 1)])

    def test_an_event_above_the_newest_is_late(self):
        """Rule 10."""
        self.assertFalse(self.view.add(event("us", 1, 7)))
        self.assertTrue(self.view.add(event("eu", 1, 6)))

    def test_of_twins_the_first_is_shown_whichever_comes_first(self):
        """Rule 10."""
        first, second = event("us", 1, 7, "one"), event("eu", 1, 9, "one", resend=True)
        for pair in ((first, second), (second, first)):
            view = View("acme/chat/general")
            for each in pair:
                view.add(each)
            self.assertEqual(shown(view), [("us", 1)])
            self.assertEqual(len(view.all()), 2)

    def test_without_a_mark_both_are_shown(self):
        """Rule 10: at least one carries `resend`."""
        self.view.add(event("us", 1, 7, "one"))
        self.view.add(event("eu", 1, 9, "one"))
        self.assertEqual(shown(self.view), [("us", 1), ("eu", 1)])

    def test_other_content_or_another_author_is_no_twin(self):
        """Rules 10 and 12."""
        self.view.add(event("us", 1, 7, "one"))
        self.view.add(event("eu", 1, 9, "one", resend=True, payload={"text": "ho"}))
        self.view.add(event("eu", 2, 10, "one", resend=True, author="bo"))
        self.view.add(event("eu", 3, 11, "one", resend=True, kind="note"))
        self.assertEqual(len(shown(self.view)), 4)

    def test_of_three_copies_one_is_shown(self):
        """Rule 10."""
        for index, origin in enumerate(("us", "eu", "ap")):
            self.view.add(event(origin, 1, 9 - index, "one", resend=index > 0))
        self.assertEqual(shown(self.view), [("ap", 1)])


if __name__ == "__main__":
    unittest.main()
