"""A client of Sterna's protocol v1 (docs/protocol.md), for asyncio.

Reading order: `view` (cursor, gaps, order, twins: what is shown), `outbox` (what is not safe yet), `retry`
(close codes, back-off, endpoints), `store` (all of it on disk), `session` (one socket), `device` (what a frame
does), `client` (the state machine). The first three are pure: no socket, no clock, no randomness of their own.
"""

from .client import Client
from .device import Listener
from .outbox import Publication, Refused
from .retry import Stopped
from .store import Store
from .view import Event, Hole, HoleSeen, View

__all__ = ["Client", "Event", "Hole", "HoleSeen", "Listener", "Publication", "Refused", "Stopped", "Store", "View"]
