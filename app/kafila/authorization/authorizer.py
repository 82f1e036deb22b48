"""The modes in their order, behind the rules that hold in all of them: members of system:masters may do everything, and an agent
nothing that is of a cluster in Push mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never, final

from kafila.core.authorization_modes import AuthorizationMode
from kafila.core.errors import aggregate

from .attributes import ALLOWED, MASTERS, NO_OPINION, Attributes, Decision, Subject
from .rbac import Rbac
from .rules import FULL_AUTHORITY, Rule
from .webhook import Webhook


class Mode(Protocol):
    """One that is asked in vain for rules says why."""

    def decide(self, asked: Attributes) -> Decision: ...
    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str]: ...


@final
class AlwaysAllow:
    def decide(self, asked: Attributes) -> Decision:
        return ALLOWED

    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str]:
        return list(FULL_AUTHORITY), ""


@final
class AlwaysDeny:
    def decide(self, asked: Attributes) -> Decision:
        return Decision(False, reason="Everything is forbidden.")

    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str]:
        return [], ""


@final
class Authorizer:
    """``rbac`` is what is known of roles, whether or not the mode is among ``modes``: escalation is measured by it."""

    def __init__(self, rbac: Rbac, modes: Sequence[Mode | Webhook]) -> None:
        self.rbac = rbac
        self._modes = tuple(modes)
        self.asks_others = any(isinstance(mode, Webhook) for mode in modes)

    async def authorize(self, asked: Attributes) -> Decision:
        if MASTERS in asked.user.groups:
            return ALLOWED
        if refused := self.rbac.members.refusal(asked):
            return refused
        reasons: list[str] = []
        errors: list[str] = []
        for mode in self._modes:
            found = await mode.ask(asked) if isinstance(mode, Webhook) else mode.decide(asked)
            if found.allowed or found.denied:
                return found
            if found.reason:
                reasons.append(found.reason)
            if found.error:
                errors.append(found.error)
        return Decision(False, reason="\n".join(reasons), error=aggregate(errors) if errors else "")

    def decide(self, asked: Attributes) -> Decision:
        """Without asking anybody else: what of the modes can be decided here."""
        if MASTERS in asked.user.groups:
            return ALLOWED
        if refused := self.rbac.members.refusal(asked):
            return refused
        for mode in self._modes:
            found = mode.decide(asked) if not isinstance(mode, Webhook) else NO_OPINION
            if found.allowed or found.denied:
                return found
        return NO_OPINION

    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str, bool]:
        """The rules that apply to somebody, what could not be found out, and whether others may allow more."""
        rules: list[Rule] = []
        errors: list[str] = []
        for mode in self._modes:
            if isinstance(mode, Webhook):
                errors.append("webhook authorizer does not support user rule resolution")
                continue
            found, error = mode.rules_for(user, namespace)
            rules += found
            if error:
                errors.append(error)
        return rules, aggregate(errors) if errors else "", self.asks_others


def build(rbac: Rbac, modes: Sequence[str] = ("RBAC",), webhook: Webhook | None = None) -> Authorizer:
    """``modes`` in the order in which they are asked. ``webhook``: for the mode Webhook. Raises ValueError."""
    return Authorizer(rbac, [_mode(AuthorizationMode(name), rbac, webhook) for name in modes])


def _mode(name: AuthorizationMode, rbac: Rbac, webhook: Webhook | None) -> Mode | Webhook:
    match name:
        case AuthorizationMode.ALWAYS_ALLOW:
            return AlwaysAllow()
        case AuthorizationMode.ALWAYS_DENY:
            return AlwaysDeny()
        case AuthorizationMode.RBAC:
            return rbac
        case AuthorizationMode.WEBHOOK:
            if webhook is None:
                raise ValueError("the mode Webhook has nobody to ask")
            return webhook
    assert_never(name)
