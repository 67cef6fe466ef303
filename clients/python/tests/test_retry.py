"""Section 5: what a close code asks for, how long to wait, and which endpoint is next."""

import unittest

from sterna_client.retry import Advice, Endpoints, Retry, Stopped, advice


def longest() -> float:
    return 0.999999


class Codes(unittest.TestCase):
    def test_the_range_decides_also_for_codes_from_the_future(self):
        for codes, expected in (((4000, 4001, 4099), Advice.SOON), ((4100, 4199), Advice.BACK_OFF),
                                ((4200, 4250), Advice.NEW_TOKEN), ((4300, 4399, 4500, 4999), Advice.STOP)):
            for code in codes:
                self.assertEqual(advice(code), expected, code)

    def test_standard_codes(self):
        for code in (1001, 1005, 1006, 1011, 1012, 1013, 1014, 1999, 3000):
            self.assertEqual(advice(code), Advice.BACK_OFF, code)
        for code in (1002, 1003, 1007, 1008, 1009, 1010):
            self.assertEqual(advice(code), Advice.STOP, code)

    def test_every_code_has_an_advice(self):
        for code in range(1000, 5000):
            self.assertIsInstance(advice(code), Advice)


class Waiting(unittest.TestCase):
    def setUp(self):
        self.retry = Retry(longest)

    def ended(self, code, now=0.0, opened=0.0, lived=0.0):
        return self.retry.ended(code, "", now, opened, lived)

    def test_jitter_is_full_from_the_first_try_on_and_has_a_ceiling(self):
        delays = [self.retry.delay()]
        for attempt in range(9):
            self.ended(4100, now=100.0 * attempt + 20, opened=100.0 * attempt)
            delays.append(self.retry.delay())
        self.assertEqual([round(each, 3) for each in delays], [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30])
        self.assertEqual(Retry(lambda: 0.0).delay(), 0.0)

    def test_a_proven_session_starts_the_back_off_again(self):
        for _ in range(5):
            self.retry.delay()
        self.ended(1006, now=100, lived=60)
        self.assertAlmostEqual(self.retry.delay(), 0.5, 3)

    def test_40xx_comes_back_soon_but_not_twice_within_a_minute(self):
        for _ in range(5):
            self.retry.delay()
        self.ended(4001, now=100)
        self.assertAlmostEqual(self.retry.delay(), 1.0, 3)
        self.ended(4001, now=150)
        self.assertGreater(self.retry.delay(), 10)

    def test_overloaded_waits_five_seconds_at_least(self):
        retry = Retry(lambda: 0.0)
        retry.ended(1013, "", 0, 0, 0)
        self.assertEqual(retry.delay(), 5.0)

    def test_a_token_that_is_refused_twice_stops(self):
        self.ended(4200)
        with self.assertRaises(Stopped):
            self.ended(4200)

    def test_a_welcome_between_two_expiries_is_no_refusal(self):
        self.ended(4200)
        self.retry.welcomed()
        self.ended(4200)

    def test_stop_codes_stop(self):
        with self.assertRaises(Stopped) as stopped:
            self.ended(4301)
        self.assertEqual(stopped.exception.code, 4301)

    def test_five_quick_ends_in_one_way_wait_a_minute_and_are_told(self):
        told = [self.ended(1006, now=100 * attempt + 1, opened=100 * attempt) for attempt in range(5)]
        self.assertEqual(told, [False, False, False, False, True])
        self.assertGreaterEqual(self.retry.delay(), 60)

    def test_slow_ends_are_not_counted_as_quick_ones(self):
        told = [self.ended(1006, now=100 * attempt + 11, opened=100 * attempt) for attempt in range(9)]
        self.assertFalse(any(told))


class Where(unittest.TestCase):
    LISTED = [{"region": "us", "url": "ws://us"}, {"region": "eu", "url": "ws://eu"}]

    def test_the_second_failure_is_the_next_ones_turn(self):
        endpoints = Endpoints(["ws://dns"])
        endpoints.learn("us", self.LISTED)
        tried = []
        for _ in range(7):
            tried.append(endpoints.current)
            endpoints.failed()
        self.assertEqual(tried, ["ws://us", "ws://us", "ws://eu", "ws://eu", "ws://dns", "ws://dns", "ws://us"])

    def test_a_welcome_stays_with_its_region(self):
        endpoints = Endpoints(["ws://dns"])
        endpoints.learn("eu", self.LISTED)
        self.assertEqual((endpoints.current, endpoints.is_cold()), ("ws://eu", False))

    def test_a_region_that_nobody_listed_is_not_gone_to(self):
        endpoints = Endpoints(["ws://dns"])
        endpoints.learn("us", self.LISTED)
        endpoints.go_to("mars")
        self.assertEqual(endpoints.current, "ws://us")


if __name__ == "__main__":
    unittest.main()
