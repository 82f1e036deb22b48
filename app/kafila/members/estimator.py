"""A client of karmada-scheduler-estimator, the accurate estimator that runs beside a member: gRPC, one connection per cluster."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, final

from kafila.placement.scheduler.estimator_wire import EstimatorError, answer

from .grpc import NO_ANSWER, Calls

LONGEST_ERROR: Final = 512  # characters


@final
@dataclass(frozen=True, slots=True)
class EstimatorTLS:
    authority_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    insecure: bool = False

    def context(self) -> ssl.SSLContext | None:
        """None: without TLS, as Karmada's scheduler connects by default."""
        if not self.authority_file and not self.insecure:
            return None
        context = ssl.create_default_context(cafile=self.authority_file or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file and self.key_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        context.set_alpn_protocols(["h2"])
        return context


@final
class EstimatorClient:
    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self.address = f"{host}:{port}"
        self._calls = Calls(host, port, tls=tls)

    def close(self) -> None:
        self._calls.close()

    async def call(self, method: str, request: bytes, about: str, timeout: float) -> int:
        """``about`` names the workload, for the estimator's log. Raises EstimatorError, whatever is answered."""
        try:
            return answer(await self._calls.call(method, request, timeout, {"object": about}))
        except NO_ANSWER as error:
            text = f"estimator at {self.address}: {error or type(error).__name__}"
            raise EstimatorError(text[:LONGEST_ERROR]) from error
