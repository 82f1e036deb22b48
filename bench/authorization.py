"""What a decision costs with 1,000 roles and 5,000 bindings: CPU per question, while roles change and while they do not.

python bench/authorization.py
"""

from __future__ import annotations

import json
import random
import time

from kafila.authorization import Attributes, Rbac
from kafila.registry import User
from kafila.registry.roles import default_roles

ROLES, BINDINGS, USERS, TEAMS, NAMESPACES, QUESTIONS = 1_000, 5_000, 500, 50, 100, 200_000
RESOURCES = ("pods", "services", "configmaps", "secrets", "deployments", "jobs")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")


def role(chosen: random.Random) -> bytes:
    rules = [
        {"verbs": chosen.sample(VERBS, 3), "apiGroups": ["", "apps"], "resources": chosen.sample(RESOURCES, 2)}
        for _ in range(3)
    ]
    return json.dumps({"rules": rules}).encode()


def binding(chosen: random.Random) -> bytes:
    user = {"kind": "User", "name": f"user{chosen.randrange(USERS)}"}
    team = {"kind": "Group", "name": f"team{chosen.randrange(TEAMS)}"}
    reference = {"kind": "ClusterRole", "name": f"role{chosen.randrange(ROLES)}"}
    return json.dumps({"roleRef": reference, "subjects": [user] if chosen.random() < 0.8 else [team]}).encode()


def filled(chosen: random.Random) -> Rbac:
    rbac = Rbac()
    for obj in default_roles():
        put = rbac.put_binding if "roleRef" in obj else rbac.put_role
        put(obj["metadata"].get("namespace", ""), obj["metadata"]["name"], json.dumps(obj).encode())
    for i in range(ROLES):
        rbac.put_role("", f"role{i}", role(chosen))
    for i in range(BINDINGS):
        namespace = f"ns{chosen.randrange(NAMESPACES)}" if chosen.random() < 0.9 else ""
        rbac.put_binding(namespace, f"binding{i}", binding(chosen))
    return rbac


def questions(chosen: random.Random) -> list[Attributes]:
    """Each user asks about a few namespaces, as clients do."""
    users = [
        (User(f"user{i}", (f"team{i % TEAMS}", "system:authenticated")), chosen.sample(range(NAMESPACES), 3))
        for i in range(USERS)
    ]
    found = []
    for _ in range(QUESTIONS):
        user, namespaces = chosen.choice(users)
        namespace, name = f"ns{chosen.choice(namespaces)}", f"object{chosen.randrange(1000)}"
        found.append(
            Attributes(user, chosen.choice(VERBS), resource=chosen.choice(RESOURCES), namespace=namespace, name=name)
        )
    return found


def microseconds(rbac: Rbac, asked: list[Attributes], changes: int) -> float:
    """CPU per question; ``changes``: so many changes of a role are among them."""
    every = len(asked) // changes if changes else 0
    body = role(random.Random(0))
    began = time.process_time()
    for number, question in enumerate(asked):
        if every and number % every == 0:
            rbac.put_role("", f"role{number % ROLES}", body)
        rbac.decide(question)
    return (time.process_time() - began) / len(asked) * 1e6


def main() -> None:
    chosen = random.Random(1)
    rbac, asked = filled(chosen), questions(chosen)
    print(f"{ROLES} roles, {BINDINGS} bindings; {QUESTIONS} questions of {USERS} users, CPU per question:")
    for changes in (0, 10, 100):
        print(f"  {changes:>3} changes of a role meanwhile: {microseconds(rbac, asked, changes):.2f} µs")


if __name__ == "__main__":
    main()
