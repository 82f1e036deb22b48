"""Connections on which a GET that differs from the request before it in nothing but its path goes past the parser (``point_reads.py``)."""

from __future__ import annotations

from typing import Any, final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from .listener import Listener
from .point_reads import Head, PointRead, PointReads, may_be_one, plain_head
from .server import NEVER, ObjectsProtocol


@final
class PointProtocol(ObjectsProtocol):
    _head: Head | None = None  # of the last request, which another may share
    _point: PointRead | None = None  # that is under way

    def __init__(self, listener: Listener, *given: Any, point_reads: PointReads, **named: Any) -> None:
        super().__init__(listener, *given, **named)
        self._point_reads = point_reads

    def data_received(self, data: bytes) -> None:
        if self._point is None:
            super().data_received(data)
            return
        self._kept += data  # what comes behind it waits
        self.flow.pause_reading()

    def _read(self, data: bytes) -> None:
        begins = not (self._in_head or self._in_body or self._pieces or self._deaf)
        if begins and self._head is not None and self._begins_point_read(data, self._head):
            return
        super()._read(data)
        if begins and not (self._in_head or self._in_body or self._deaf) and self.cycle.keep_alive:
            self._head = plain_head(data, self.headers)

    def _begins_point_read(self, data: bytes, head: Head) -> bool:
        """Whether that is what it is; else nothing has happened."""
        before = self.cycle
        if not (before is None or before.response_complete) or not may_be_one(data, head):
            return False
        read = PointRead(self, data, head, self.app_state.get("peer"))
        if not self._point_reads.begin(read):
            return False
        self._point = self.cycle = read  # type: ignore[assignment]
        self._reason = ""
        self._listener.works(self)
        self._late_reading = NEVER
        self.late = self._late_writing
        return True

    def can_write(self) -> bool:
        return not self.flow.write_paused

    def answered(self, read: PointRead, answer: list[bytes]) -> None:
        self._point = None
        read.response_complete = True
        if read.disconnected:
            return
        lines = [STATUS_LINE[200]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        body = answer.pop()
        lines += (*answer, b"\r\n" if read.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(lines))
        if not read.keep_alive:
            self.transport.close()
        self.on_response_complete()
        if self._kept:
            self._take_kept()

    def go_ordinary_way(self, read: PointRead) -> None:
        self._point = self._head = None
        read.response_complete = True
        if self.transport.is_closing():
            return
        self._read(read.data)
        if self._kept:
            self._take_kept()
