"""What this process knows of the store: current objects, recent events, and who waits for them.

Everything runs in one event loop and every mutation is a synchronous callback of the store, so readers never see a state
between two revisions. Watchers *pull*: each has a position (a revision) and reads the events behind it, from memory while it
keeps up and from the log when it fell behind. A slow reader therefore costs nothing and loses nothing. Those that keep up and
ask alike are served together (``groups``).
"""

from .cache import Cache
from .entry import Entry, Event
from .groups import Groups
from .resource import Resource
from .watcher import Watcher

__all__ = ["Cache", "Entry", "Event", "Groups", "Resource", "Watcher"]
