"""Nobody is made a member of system:masters by a certificate that somebody approves without reading it."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from tests.integration.api.conftest import Api
from tests.integration.api.test_authorization import message
from tests.integration.api.test_certificate_requests import KEY, REQUESTS, pem, request


def asking(*groups: str) -> str:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "somebody")]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return pem(x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(KEY, SHA256()))


@pytest.mark.parametrize("groups", [("system:masters",), ("dev", "system:masters")])
async def test_a_certificate_of_system_masters_cannot_be_asked_for(api: Api, groups: tuple[str, ...]) -> None:
    before = api.cache.revision
    assert message(await api.post(REQUESTS, request(request=asking(*groups)))) == (
        'certificatesigningrequests.certificates.k8s.io "somebody" is forbidden: '
        "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )
    assert api.cache.revision == before


async def test_of_other_groups_and_other_signers_it_can(api: Api) -> None:
    await api.made(REQUESTS, request(request=asking("dev", "system:mastersX")))
    other = request(request=asking("system:masters"), signerName="example.com/signer")
    await api.made(REQUESTS, other | {"metadata": {"name": "other"}})
