"""What is answered about objects that are stored and cannot be read: 500, in kube-apiserver's words (storage/etcd3/store.go)."""

from __future__ import annotations

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.resources import Key
from kafila.store.interface import Unreadable
from kafila.watch import Cache
from kafila.watch.resource import path_of


def in_storage(resource: str, path: str) -> str:
    """The key of kube-apiserver's storage for ``deployments.apps`` and ``namespace/name``."""
    plural, _, group = resource.partition(".")
    return f"/registry/{group}/{plural}/{path}" if group else f"/registry/{plural}/{path}"


def absent(cache: Cache, key: Key, kind: Kind) -> errors.StatusError:
    """Why an object is not in the cache: there is none (404), or it cannot be read."""
    found = cache.unreadable(key)
    return errors.not_found(kind.group, kind.plural, key.name) if found is None else errors.internal_error(found.reason)


def check_listed(cache: Cache, resource: str, namespace: str) -> None:
    """Raises StatusError when a list would leave out an object that is there."""
    unreadable = cache.resource(resource).unreadable
    if unreadable:
        for path in sorted(unreadable):
            if not namespace or path.startswith(f"{namespace}/"):
                raise unlisted(resource, path, unreadable[path])


def check_read(key: Key, body: bytes) -> None:
    """Raises StatusError for an object that was read from the store."""
    if isinstance(body, Unreadable):
        raise unlisted(key.resource, path_of(key.namespace, key.name), body)


def unlisted(resource: str, path: str, body: Unreadable) -> errors.StatusError:
    return errors.internal_error(f'unable to transform key "{in_storage(resource, path)}": {body.reason}')
