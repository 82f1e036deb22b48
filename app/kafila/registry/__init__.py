"""The generic verbs on objects (Kubernetes' registry): the only door to a write, for HTTP and for controllers.

A write is *prepared* (decode, default, admit, validate, track fields) into a :class:`Change`, guards and writes that do not
depend on anything but the objects they were computed from, and then committed. Several changes can be committed together.
"""

from .context import SYSTEM_ADMIN, Options, User
from .registry import Registry

__all__ = ["SYSTEM_ADMIN", "Options", "Registry", "User"]
