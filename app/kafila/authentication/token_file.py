"""A static file of tokens: lines of ``token,user,uid`` and, quoted, the user's groups (kube-apiserver's ``--token-auth-file``)."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence

from kafila.registry import User

from .credentials import Known, TokenAuthenticator
from .users import fits_header


def read_tokens(text: str) -> dict[bytes, User]:
    """Users by the hash of their token. Raises ValueError that names the line and never what stands in it."""
    found: dict[bytes, User] = {}
    reader = csv.reader(text.splitlines(), skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if not row:
                continue
            if len(row) < 3:
                raise ValueError(f"line {reader.line_num}: must have token, user and uid, and may have groups")
            token, name, uid, groups = row[0], row[1], row[2], row[3] if len(row) > 3 else ""
            user = User(name, tuple(group for group in groups.split(",") if group), uid)
            if not token or not name:
                raise ValueError(f"line {reader.line_num}: the token and the user must not be empty")
            if not fits_header(user.name, *user.groups):
                raise ValueError(f"line {reader.line_num}: the user or a group has characters that no header carries")
            if _hashed(token) in found:
                raise ValueError(f"line {reader.line_num}: the token stands in an earlier line already")
            found[_hashed(token)] = user
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return found


def token_file(users: Mapping[bytes, User]) -> TokenAuthenticator:
    """For this API server only: whoever asks about other audiences learns nothing about these tokens."""

    def authenticate(token: str, audiences: Sequence[str]) -> Known | None:
        user = users.get(_hashed(token))
        return Known(user) if user is not None else None

    return authenticate


def _hashed(token: str) -> bytes:
    """Looking up a hash says nothing about the token by the time it takes."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
