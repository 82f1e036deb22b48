"""Runs scenarios on kafila and compares with Karmada's answers: those recorded in answers/, or new ones of the oracle.

run.py [NAME...]            kafila against the recorded answers
run.py --record [NAME...]   asks the oracle (KARMADA_ORACLE, else built by build.sh), writes answers/, and compares
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from access import Access, Object  # noqa: E402
from compare import Answers, Comparison, compare, equal_at, load_known, score  # noqa: E402
from normal import Names, refusal  # noqa: E402
from observe import Observer, Snapshot, kinds_of  # noqa: E402
from oracle import ALL_GATES, ALLOWS_EVICTION, EVICTS, MORE_CONTROLLERS, Karmada  # noqa: E402
from scenario import Scenario, carry_out, describe, load, look, until_found, until_noticed  # noqa: E402
from shared import estimators, harness, metrics  # noqa: E402
from third_parties import definitions  # noqa: E402

PLACES = {  # what scenarios select clusters by
    "member1": {"provider": "cloud", "region": "north", "zones": ["z1"], "stage": "prod"},
    "member2": {"provider": "cloud", "region": "south", "zones": ["z2"], "stage": "prod"},
    "member3": {"provider": "cellar", "region": "south", "zones": ["z3"], "stage": "test"},
}
ANSWERS = HERE / "answers"
AT_ONCE = 8
LOGS = Path(os.environ["KEEP_LOGS_IN"]) if os.environ.get("KEEP_LOGS_IN") else None
PATIENCE = 90.0


class Runner:
    """Carries scenarios out on one control plane. ``expected``: answers that end the waiting early when they come about."""

    def __init__(
        self,
        plane: Path,
        members: dict[str, Any],
        quiet: float,
        expected: dict[str, Answers],
        done: Callable[[str, Answers], None],
    ) -> None:
        self._plane = Access(plane)
        self._running = members
        self._members = {name: Access(member.kubeconfig) for name, member in members.items()}
        self._quiet = quiet
        self._expected = expected
        self._done = done
        self._known = load_known(HERE / "known.yaml")
        self.restless: list[str] = []

    async def run(self, scenarios: list[Scenario]) -> dict[str, Answers]:
        self._observer = Observer(self._plane, self._members, kinds_of(scenarios), interval=0.4)
        looking = asyncio.create_task(self._observer.run())
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(scenario: Scenario) -> tuple[str, Answers]:
            async with gate:
                answers = await self._scenario(scenario)
                self._done(scenario.name, answers)
                return scenario.name, answers

        async def all_of_them() -> dict[str, Answers]:
            first = [await one(s) for s in scenarios if s.first]
            shared = await asyncio.gather(*(one(s) for s in scenarios if not s.exclusive and not s.first))
            alone = [await one(s) for s in scenarios if s.exclusive]
            return dict([*first, *shared, *alone])

        running = asyncio.create_task(all_of_them())
        try:
            await asyncio.wait((looking, running), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():  # it failed: nobody would ever be at rest
                looking.result()
            return running.result()
        finally:
            for task in (looking, running):
                task.cancel()
            await asyncio.gather(looking, running, return_exceptions=True)
            for access in (self._plane, *self._members.values()):
                await access.close()

    async def _scenario(self, scenario: Scenario) -> Answers:
        names, answers = Names(), []
        await self._prepare(scenario)
        for number, step in enumerate(scenario.steps):
            if step["verb"] == "rest":
                answers.append({"step": "rest", "is": await self._rest(scenario, names, number, step["what"] or 0)})
                continue
            if step["verb"] in ("stop", "start"):
                await self._turn(step["verb"], step["what"])
                answers.append({"step": describe(step), "is": {}})
                continue
            access = self._members[step["in"]] if step["in"] else self._plane
            if step["verb"] == "look":
                found = await self._look(scenario, names, number, access)
                answers.append({"step": describe(step), "is": found})
                continue
            got = await carry_out(step, access, scenario.namespace)
            said: Object = {} if got.code < 300 else refusal(got.body, names)
            if got.warnings:
                said["warnings"] = list(got.warnings)
            answers.append({"step": describe(step), "is": said})
        return answers

    async def _look(self, scenario: Scenario, names: Names, number: int, access: Access) -> Object:
        """What stands somewhere once it is what is expected, or after a while."""
        expected = self._expected.get(scenario.name, [])
        wanted = expected[number]["is"] if number < len(expected) else None
        until = time.monotonic() + self._quiet
        while True:
            found = {"found": names.value(await look(scenario.steps[number], access, scenario.namespace))}
            if found == wanted or time.monotonic() > until:
                return found
            await asyncio.sleep(0.2)

    async def _turn(self, verb: str, name: str) -> None:
        """Takes the API server of a member away, or brings it back."""
        member = self._running[name]
        if verb == "stop":
            self._observer.unreachable.add(name)
            member.kill_api()
        else:
            member.apiserver.start()
            await asyncio.to_thread(member.wait_ready)
            self._observer.unreachable.discard(name)
        await until_noticed(self._plane, name, verb == "start")

    async def _prepare(self, scenario: Scenario) -> None:
        for namespace in scenario.namespaces:
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            await self._plane.create("Namespace", made)
        for member in self._members.values():
            for namespace in scenario.namespaces:
                await until_found(member, "Namespace", namespace)

    async def _rest(self, scenario: Scenario, names: Names, number: int, long: float) -> Snapshot:
        expected = self._expected.get(scenario.name, [])

        def done(state: Snapshot) -> bool:
            return equal_at(scenario.name, number, expected, state, self._known)

        quiet = max(self._quiet, long)  # what is expected is noticed when it comes, and nobody waits for more
        snapshot, rested = await self._observer.rest(scenario, names, quiet, PATIENCE + quiet, done)
        if not rested:
            self.restless.append(scenario.name)
        return snapshot


@contextlib.contextmanager
def federation(
    profile: str, oracle: Path | None, kinds: set[str] = frozenset(), needs: set[str] = frozenset()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Kubeconfig of a fresh control plane, and its members: the oracle's, or kafila's when there is no path to it.

    ``kinds``: what scenarios use; those that are not built in are defined everywhere. ``needs``: of their :class:`Scenario`.
    """
    with harness.members(keep_logs_in=LOGS) as lab:
        started = lab.start(*PLACES, options=harness.Options(light=True))
        with contextlib.ExitStack() as stack:
            if "metrics" in needs:
                for member in started:
                    stack.enter_context(metrics.metrics_of(member, metrics.CUSTOM))
            plane: Any
            if oracle is not None:
                plane = Karmada(lab, oracle, lab.folder / "karmada", profile, metrics="metrics" in needs)
                stack.callback(plane.stop)
                plane.start()
            else:
                plane = lab.serve("kafila", *_flags(lab, profile, needs))
            if "descheduler" in needs:
                _start_estimators(stack, lab, plane, started)
            _define(lab, plane.kubeconfig, definitions(kinds, in_member=False))
            for member in started:
                _define(lab, member.kubeconfig, definitions(kinds, in_member=True))
                _join(lab, plane, member)
            yield plane.kubeconfig, {member.name: member for member in started}


def _flags(lab: Any, profile: str, needs: set[str]) -> list[str]:
    """Kafila's, so that it is like the oracle."""
    flags = ["--cluster-status-frequency=1", "--cluster-failure-threshold=2", "--cluster-success-threshold=2"]
    controllers = MORE_CONTROLLERS
    period = 2 if "metrics" in needs else 600  # nobody waits long, or a second sync does not hide the first
    flags.append(f"--horizontal-pod-autoscaler-sync-period={period}")
    if "descheduler" in needs:
        controllers += ",descheduler"
        flags += ["--descheduling-interval=1", "--unschedulable-threshold=1", "--scheduler-estimator-timeout=30"]
        flags += estimators.client_flags(_keys(lab))
    return [*flags, ALL_GATES, EVICTS, ALLOWS_EVICTION, controllers] if profile == "all" else flags


def _keys(lab: Any) -> Path:
    """Of the estimators and of who asks them."""
    folder: Path = lab.folder / "estimators"
    if not folder.exists():
        folder.mkdir()
        estimators.write_credentials(folder)
    return folder


def _start_estimators(stack: contextlib.ExitStack, lab: Any, plane: Any, members: list[Any]) -> None:
    services = [stack.enter_context(estimators.estimator_of(lab, member, _keys(lab))) for member in members]
    plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": services}))
    if isinstance(plane, Karmada):
        plane.start_descheduler(*estimators.client_flags(_keys(lab)))


def _define(lab: Any, kubeconfig: Path, found: Object) -> None:
    if not found["items"]:
        return
    kubectl = functools.partial(harness.kubectl, lab.bin / "kubectl", kubeconfig)
    kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(found))
    harness.wait_until_established(kubectl, *(each["metadata"]["name"] for each in found["items"]))


def _join(lab: Any, plane: Any, member: Any) -> None:
    access = [f"--cluster-kubeconfig={member.kubeconfig}", f"--cluster-context={member.name}"]
    program = [str(lab.bin / "karmadactl"), f"--kubeconfig={plane.kubeconfig}", "--karmada-context=karmada-apiserver"]
    subprocess.run([*program, "join", member.name, *access], check=True, capture_output=True, text=True)
    path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    ready = ("get", "cluster", member.name, "-o", path)
    harness.wait_until(f"{member.name} ready", lambda: plane.kubectl(*ready) == "True")
    place = dict(PLACES[member.name])
    patch = {"metadata": {"labels": {"stage": place.pop("stage")}}, "spec": place}
    plane.kubectl("patch", "cluster", member.name, "--type=merge", "-p", json.dumps(patch))


def ask(
    scenarios: list[Scenario],
    oracle: Path | None,
    expected: dict[str, Answers],
    done: Callable[[str, Answers], None] = lambda name, answers: None,
) -> dict[str, Answers]:
    answers: dict[str, Answers] = {}
    for profile, more in (("default", False), ("all", False), ("all", True)):  # what some need others would notice
        some = [scenario for scenario in scenarios if scenario.profile == profile and bool(scenario.needs) is more]
        if not some:
            continue
        needs = {part for scenario in some for part in scenario.needs}
        with federation(profile, oracle, kinds_of(some), needs) as (plane, members):

            async def run(plane: Path = plane, members: dict[str, Any] = members, some: list[Scenario] = some) -> None:
                runner = Runner(plane, members, 8.0 if oracle or not expected else 20.0, expected, done)
                answers.update(await runner.run(some))
                if runner.restless:
                    print(f"never at rest: {', '.join(runner.restless)}")

            asyncio.run(run())
    return answers


def recorded(scenarios: list[Scenario]) -> dict[str, Answers]:
    paths = {scenario.name: ANSWERS / f"{scenario.name}.json" for scenario in scenarios}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def record(name: str, answers: Answers) -> None:
    ANSWERS.mkdir(exist_ok=True)
    (ANSWERS / f"{name}.json").write_text(json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def chosen(patterns: list[str]) -> list[Scenario]:
    scenarios = load(HERE / "scenarios")
    return [s for s in scenarios if not patterns or any(fnmatch.fnmatch(s.name, pattern) for pattern in patterns)]


def compared(scenarios: list[Scenario], theirs: dict[str, Answers], ours: dict[str, Answers]) -> list[Comparison]:
    known = load_known(HERE / "known.yaml")
    return [compare(s.name, theirs[s.name], ours[s.name], known) for s in scenarios if s.name in theirs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="scenarios, with * and ?")
    parser.add_argument("--record", action="store_true", help="ask the oracle and write its answers")
    parser.add_argument("--only-record", action="store_true", help="ask the oracle and no more")
    arguments = parser.parse_args()
    scenarios = chosen(arguments.names)
    path = os.environ.get("KARMADA_ORACLE", "")
    if arguments.record or arguments.only_record or path:
        built = (
            path or subprocess.run([HERE / "build.sh"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        )
        ask(scenarios, Path(built), {}, record)
    theirs = recorded(scenarios)
    if arguments.only_record:
        return 0
    comparisons = compared(scenarios, theirs, ask(scenarios, None, theirs))
    for one in comparisons:
        for difference in one.differences:
            print(f"{one.scenario}: {difference}")
    for one in comparisons:
        print(f"{'=' if one.equal else '≠'} {one.scenario}" + (f" ({len(one.differences)})" if one.differences else ""))
    print(score(comparisons))
    return 0 if all(one.equal for one in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
