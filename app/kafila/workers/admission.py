"""What admission reads beside the object that is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from kafila import authorization
from kafila.admission import Admission
from kafila.admission.chain import Escalation, Signing
from kafila.admission.karmada.context import AdmissionContext, Claimed, Served
from kafila.admission.plugins.attributes import Lookups
from kafila.admission.policies.policy import MUTATING_POLICIES, POLICIES
from kafila.authorization import Authorizer
from kafila.catalog.catalog import Catalog
from kafila.cel.libraries.authorizer import Answer, Ask, Question
from kafila.core.resources import split_api_version
from kafila.core.values import Object
from kafila.machinery.configuration import ConfigurationError
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.lua import syntax_error
from kafila.members.kubeconfig import KubeconfigError
from kafila.placement.allowed_clusters import Limit, limit_of
from kafila.placement.types import Binding
from kafila.registry import User
from kafila.registry.codec import decode_entry
from kafila.registry.threads import on_loop
from kafila.settings.settings import Settings
from kafila.watch import Cache, Entry, needles
from kafila.webhooks.configuration import NONE, Known, read_identities

CUSTOMIZATIONS = "resourceinterpretercustomizations.config.karmada.io"
CLUSTERS = "clusters.cluster.karmada.io"
BINDINGS = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io")
MOST_SEARCHED = 50_000  # bindings that are searched for a policy's label when its placement changes
MOST_READ = 1_000


def admission(cache: Cache, catalog: Catalog, settings: Settings, authorizer: Authorizer | None = None) -> Admission:
    """``authorizer``: what it says of who writes roles and bindings; without one nobody is asked."""

    def entries(resource: str) -> list[Entry]:
        return on_loop(lambda: list(cache.resource(resource).entries()))

    def customizations() -> Iterator[Object]:
        kind = catalog.storage_kind(CUSTOMIZATIONS)
        assert kind is not None
        return (decode_entry(kind, entry) for entry in entries(CUSTOMIZATIONS))

    def objects(resource: str) -> Iterator[Object]:
        return (entry.decode() for entry in entries(resource))

    def within(resource: str, namespace: str) -> Iterator[Object]:
        found = on_loop(lambda: list(cache.resource(resource).entries(namespace)))
        return (entry.decode() for entry in found)

    def one(resource: str, namespace: str, name: str) -> Object | None:
        found = on_loop(lambda: cache.get(resource, namespace, name))
        return found.decode() if found is not None else None

    def own_id() -> str:
        namespace = on_loop(lambda: cache.get("namespaces", "", "kube-system"))
        return namespace.meta.uid if namespace is not None else ""

    def claimed(identity: str, namespace: str) -> Claimed:
        needle = needles.text(identity)

        def bodies() -> tuple[list[Entry], bool]:
            """Of ten thousands of bindings those that have the label: their bytes are searched, and few are decoded."""
            found: list[Entry] = []
            for resource in BINDINGS:
                for looked_at, entry in enumerate(cache.resource(resource).entries(namespace)):
                    if looked_at == MOST_SEARCHED or len(found) == MOST_READ:
                        return found, True
                    if entry.mentions(needle):
                        found.append(entry)
            return found, False

        found, more = on_loop(bodies)
        return Claimed([cast(Binding, entry.decode())["spec"] for entry in found], more)

    def may(user: Any, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        if authorizer is None:
            return True
        asked = authorization.Attributes(user, verb, group, "*", resource, "", namespace, name)
        return on_loop(lambda: authorizer.decide(asked).allowed)

    def limit(namespace: str) -> Limit | None:
        entry = on_loop(lambda: cache.get("namespaces", "", namespace))
        return limit_of(entry.meta.annotations) if entry is not None else None

    def resource_of(api_version: str, kind: str) -> Served | None:
        found = catalog.by_kind(*split_api_version(api_version), kind)
        return Served(found.group, found.plural, found.namespaced) if found is not None else None

    def misfit(api_version: str, kind: str, status: Any) -> str:
        found = catalog.by_kind(*split_api_version(api_version), kind)
        if found is None or found.custom:
            return ""  # scripts and webhooks say what it means, within limits of their own
        try:
            compile_decoder(found.schema)({"status": status})
        except (DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            return str(error)[:512]
        return ""

    around = AdmissionContext(
        customizations=customizations,
        lua_error=syntax_error,
        allow_no_execute=settings.allow_no_execute_taint_policy,
        clusters=lambda: objects(CLUSTERS),
        claimed=claimed,
        own_id=own_id,
        may=may,
        limit=limit,
        resource_of=resource_of,
        misfit=misfit,
        has_cluster=lambda name: on_loop(lambda: cache.get(CLUSTERS, "", name)) is not None,
    )
    escalation, signing = rights(authorizer) if authorizer is not None else (None, None)
    return Admission(
        settings.gates,
        around,
        Lookups(objects, within, one),
        settings.admission_plugins,
        escalation,
        signing,
        param_access(authorizer, catalog, cache) if authorizer is not None else None,
    )


def param_access(authorizer: Authorizer, catalog: Catalog, cache: Cache) -> Escalation:
    """Who writes a policy of admission may read its parameters."""

    def resolve(group: str, version: str, kind: str) -> str | None:
        found = catalog.by_kind(group, version, kind)
        return found.plural if found is not None else None

    def policy(kind: str, name: str) -> Object | None:
        entry = cache.get(POLICIES if kind == "ValidatingAdmissionPolicy" else MUTATING_POLICIES, "", name)
        return entry.decode() if entry is not None else None

    check = authorization.ParamAccess(authorizer, resolve, policy).check

    def access(kind: str, new: Object, old: Object | None, user: Any) -> None:
        on_loop(lambda: check(kind, new, old, user))

    return access


def rights(authorizer: Authorizer) -> tuple[Escalation, Signing]:
    """What is known of roles belongs to the event loop; a large object is checked in a thread."""
    grants, signs = authorization.Escalation(authorizer).check, authorization.Signers(authorizer).check

    def escalation(kind: str, new: Object, old: Object | None, user: Any) -> None:
        on_loop(lambda: grants(kind, new, old, user))

    def signing(new: Object, old: Object, user: Any) -> None:
        on_loop(lambda: signs(new, old, user))

    return escalation, signing


def ask_of(authorizer: Authorizer) -> Ask:
    """What expressions of webhooks and policies are told about who may do what: of those modes that decide here."""

    def ask(asked: Question) -> Answer:
        user = asked.user
        if isinstance(user, tuple) and not isinstance(user, User):
            user = _account(*user)
        if asked.path:
            attributes = authorization.Attributes(user, asked.verb, path=asked.path)
        else:
            attributes = authorization.Attributes(
                user, asked.verb, asked.group, "*", asked.resource, asked.subresource, asked.namespace, asked.name
            )
        decision = on_loop(lambda: authorizer.decide(attributes))
        return Answer(decision.allowed, decision.reason, decision.error)

    return ask


def _account(namespace: str, name: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


def known_to_webhooks(settings: Settings) -> Known:
    """Raises OSError, ConfigurationError, KubeconfigError."""
    file = settings.admission_control_config_file
    return read_identities(Path(file)) if file else NONE


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The setting of admission that cannot be served, and why; before anything starts."""
    name = "admission_control_config_file"
    try:
        known_to_webhooks(settings)
    except OSError as error:
        return name, f"{settings.admission_control_config_file} cannot be read: {error.strerror}"
    except (ConfigurationError, KubeconfigError) as error:
        return name, str(error)
    return None
