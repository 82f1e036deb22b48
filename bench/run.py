"""The figures of docs/performance.md, measured on real members: ``make bench``, or ``make bench ARGS=--quick`` (3 minutes).

Only measures: nothing passes or fails here. Progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import apiload
import karmada
import propagation
import uvloop
from lab import Plane, bare_apiserver, control_plane, light_members
from load import Api, say
from meter import Meter, Usage, cpu_seconds, machine_busy_seconds, pss_mib, python_build
from report import Report

T = TypeVar("T")
MEMBERS = 3
KARMADA_TEMPLATES = 100  # of its burst: it takes a minute for them


def run(work: Coroutine[Any, Any, T]) -> T:
    return uvloop.run(work)


def apis_of(members: Iterable[Any]) -> list[Api]:
    return [Api(member.kubeconfig, member.name) for member in members]


def federation(report: Report, count: int, trickle: int, idle_seconds: float, many: int, programs: Path | None) -> None:
    """Bare loop, idle, start, one by one, burst, restart: in this order, so that each finds what it needs. Then Karmada's."""
    with light_members(MEMBERS) as members:
        processes = [process.pid for member in members for process in member.processes]
        say(f"bare loop: {count} templates into {MEMBERS} members")
        loop = run(propagation.direct(apis_of(members), count, processes))
        say(f"bare loop: visible {loop.visible_rate:.1f}/s, ready {loop.ready_rate:.1f}/s")
        with control_plane() as plane:
            for member in members:
                plane.join(member)
            plane.kubectl("get", "clusters")  # kubectl learns the API
            plane.stop()
            start = plane.start_until_kubectl()
            idle, idle_mib = rest(plane, idle_seconds)
            say(f"start {start:.2f} s, idle {idle_mib:.0f} MiB, {idle.cpu:.2f} CPU seconds in {idle.wall:.0f} s")
            steady = run(propagation.spread(plane.api(), apis_of(members), "trickle", trickle, plane.roots, rate=1.0))
            burst = run(propagation.spread(plane.api(), apis_of(members), "burst", count, plane.roots))
            loaded = sum(pss_mib(root) for root in plane.roots)
            restarts = [(count + trickle, *restart(plane, members, count))]
            if many:
                rate = run(propagation.fill(plane.api(), apis_of(members)[0], "many", many))
                say(f"{many} bindings more, {rate:.0f}/s; {sum(pss_mib(root) for root in plane.roots):.0f} MiB")
                restarts.append((count + trickle + many, *restart(plane, members, count + 1)))
    if programs is not None:
        report.karmada = their_federation(programs, min(count, KARMADA_TEMPLATES), trickle, idle_seconds)
    report.propagation(loop, burst)
    report.trickle(steady)
    report.size(idle, idle_mib, start, burst, loaded)
    for bindings, ready, delivered in restarts:
        report.restart(bindings, ready, delivered)
    report.notes.append(f"The members took {loop.usage.per(count):.0f} ms of CPU per template in the bare loop.")


def their_federation(programs: Path, count: int, trickle: int, idle_seconds: float) -> karmada.Theirs:
    """Karmada with its default flags: idle, one by one, burst."""
    with karmada.federation(programs, MEMBERS) as (plane, members):
        idle, idle_mib = rest(plane, idle_seconds)
        say(f"Karmada: idle {idle_mib:.0f} MiB, {idle.cpu:.2f} CPU seconds in {idle.wall:.0f} s")
        steady = run(propagation.spread(plane.api(), apis_of(members), "trickle", trickle, plane.roots, rate=1.0))
        burst = run(propagation.spread(plane.api(), apis_of(members), "burst", count, plane.roots))
    return karmada.figures(idle, idle_mib, steady, burst)


def restart(plane: Plane, members: list[Any], number: int) -> tuple[float, float]:
    """kill -9 and start: seconds until ready, and from then until template ``number`` is in all members."""
    plane.kill()
    ready = plane.start()
    return ready, run(propagation.probe(plane.api(), apis_of(members), "burst", number))


def rest(plane: Plane | karmada.Karmada, seconds: float) -> tuple[Usage, float]:
    """What it costs when nobody asks for anything, and its memory then."""
    time.sleep(5)
    meter = Meter(plane.roots)
    time.sleep(seconds)
    return meter.stop(), sum(pss_mib(root) for root in plane.roots)


def api(report: Report, amounts: apiload.Amounts) -> None:
    """The same client against kafila and a bare kube-apiserver, turn by turn."""
    say("API of kafila and of a bare kube-apiserver")
    with bare_apiserver() as (member, processes), control_plane() as plane:
        servers = [(Api(member.kubeconfig, "kube-apiserver"), processes), (plane.api(), plane.roots)]
        theirs, ours = run(apiload.measure(servers, amounts))
    report.api(ours, theirs)


def foreign_cores(measured: Callable[[], None]) -> float:
    """Cores that processes which are not ours kept busy while it ran."""
    began, own, machine = time.monotonic(), cpu_seconds(os.getpid()), machine_busy_seconds()
    measured()
    foreign = machine_busy_seconds() - machine - (cpu_seconds(os.getpid()) - own)
    return max(foreign, 0.0) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 templates, lists of 1,000 only")
    parser.add_argument("-n", type=int, help="templates of the burst (1,000; quick 100)")
    parser.add_argument("--many", type=int, default=0, help="restart with so many more bindings too (10000: 5 minutes)")
    parser.add_argument(
        "--karmada", type=Path, help="measure Karmada too: what tests/differential/karmada/build.sh printed"
    )
    parser.add_argument("--only", choices=("federation", "api"), help="one half of it")
    parser.add_argument("--account", action="store_true", help="the API's client is a service account with a Role")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    options = parser.parse_args()
    # what is open is closed in order, whichever way we are told to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    count = options.n or (100 if options.quick else 1000)
    report = Report()

    def everything() -> None:
        if options.only != "api":
            trickle, seconds = (10, 10.0) if options.quick else (30, 30.0)
            federation(report, count, trickle, seconds, options.many, options.karmada)
        if options.only != "federation":
            amounts = apiload.QUICK if options.quick else apiload.Amounts()
            api(report, dataclasses.replace(amounts, account=options.account))

    load = os.getloadavg()[0]
    foreign = foreign_cores(everything)
    report.notes.append(
        f"{time.strftime('%F')}, {os.cpu_count()} cores, {python_build()}; load before {load:.1f}; "
        f"other processes kept {foreign:.2f} cores busy meanwhile."
    )
    print(report.text(), flush=True)
    if options.out:
        options.out.write_text(report.text() + "\n")


if __name__ == "__main__":
    main()
