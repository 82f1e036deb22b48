"""A real proxy on the way to a member: pproxy, which speaks HTTP's CONNECT and SOCKS5 on one port."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from types import TracebackType

# its main asks for a loop before there is one, which uvloop refuses
_RUN = "import sys; sys.modules['uvloop'] = None; from pproxy.server import main; main()"


class ProxyServer:
    """``user``: NAME:PASSWORD that it wants, "" for anybody."""

    def __init__(self, user: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        listen = f"http+socks5://{self.address}" + (f"#{user}" if user else "")
        command = [sys.executable, "-u", "-c", _RUN, "-l", listen, "-v"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._said = self._line()
        assert "Serving on" in self._said, self._said

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def stop(self) -> None:
        self._process.terminate()
        self._said += self._process.communicate(timeout=30)[0]

    def passed(self) -> set[tuple[str, str]]:
        """Protocol and destination of each connection that went through, known after :meth:`stop`."""
        return set(re.findall(r"^(http|socks5) \S+ -> (\S+)$", self._said, re.M))

    def __enter__(self) -> ProxyServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
