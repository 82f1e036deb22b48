"""One table: each figure, what it is compared with, their ratio and the target."""

from __future__ import annotations

from dataclasses import dataclass, field

from apiload import Figures
from karmada import EARLIER, EARLIER_LOADED_MIB, EARLIER_RESTART, EARLIER_START, Theirs
from meter import Usage
from propagation import Direct, Spread, ms


@dataclass
class Row:
    name: str
    ours: str
    other: str = "–"
    ratio: str = "–"
    target: str = "–"


@dataclass
class Report:
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    karmada: Theirs = EARLIER

    def add(
        self, name: str, ours: float | None, unit: str, other: float | None = None, who: str = "", target: str = "–"
    ) -> None:
        compared = "–" if other is None else f"{number(other)} {unit} ({who})"
        ratio = number(ours / other) if ours is not None and other else "–"
        self.rows.append(Row(name, "–" if ours is None else f"{number(ours)} {unit}", compared, ratio, target))

    def text(self) -> str:
        """Markdown that reads well in a terminal too."""
        lines = [["figure", "kafila", "compared with", "ratio", "target"]]
        lines += [[row.name, row.ours, row.other, row.ratio, row.target] for row in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        lines.insert(1, ["-" * width for width in widths])
        table = [
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines
        ]
        return "\n".join([*table, "", *self.notes])

    # -- what belongs together ---------------------------------------------------------------------------------------

    def propagation(self, loop: Direct, burst: Spread) -> None:
        n = burst.count
        self.add(
            f"burst of {n}: templates/s until status is summed",
            burst.status_rate,
            "/s",
            loop.ready_rate,
            "bare loop",
            "ratio ≥ 0.6",
        )
        self.add(
            f"burst of {n}: templates/s until in all members",
            burst.visible_rate,
            "/s",
            loop.visible_rate,
            "bare loop",
            "ratio ≥ 0.4",
        )
        self.add("the same against Karmada", burst.status_rate, "/s", self.karmada.burst_rate, self.karmada.who)
        assert burst.usage is not None
        self.add("CPU per template", burst.usage.per(n), "ms", self.karmada.cpu_ms, self.karmada.who, "≤ 25 ms")
        shared = f"{loop.usage.foreign:.2f} during the bare loop, {burst.usage.foreign:.2f} during the burst"
        self.notes.append(f"Cores that other processes kept busy: {shared}.")
        done = len(burst.summed)
        if done < n or len(burst.everywhere(burst.visible)) < n:
            self.notes.append(f"The burst did not finish: {burst.summary}.")

    def trickle(self, found: Spread) -> None:
        who = self.karmada.who
        self.add(
            "1/s: accepted → in all members, p50",
            ms(found.propagation(0.5)),
            "ms",
            self.karmada.present_p50,
            who,
            "≤ 50 ms",
        )
        self.add(
            "1/s: accepted → in all members, p99",
            ms(found.propagation(0.99)),
            "ms",
            self.karmada.present_p99,
            who,
            "≤ 150 ms",
        )
        self.add("1/s: member ready → summed status, p99", ms(found.reflection(0.99)), "ms", target="≤ 300 ms")
        if len(found.summed) < found.count:
            self.notes.append(f"At 1 template/s: {found.summary}.")

    def size(self, idle: Usage, idle_mib: float, start: float, burst: Spread, loaded_mib: float) -> None:
        who = EARLIER.who
        self.add(
            "memory idle, members joined (PSS)", idle_mib, "MiB", self.karmada.idle_mib, self.karmada.who, "≤ 200 MB"
        )
        name = f"memory with {burst.count} templates"
        karmada = EARLIER_LOADED_MIB if burst.count >= 1000 else None
        self.add(f"{name} (PSS)", loaded_mib, "MiB", karmada, who, "≤ 400 MB with 1,000")
        peak = burst.usage.peak if burst.usage else None
        self.add(f"{name}, peak of the burst", peak, "MiB")
        self.add(
            "CPU idle", idle.cpu / idle.wall * 100, "% of a core", self.karmada.idle_cpu, self.karmada.who, "≤ 1 %"
        )
        self.add("start, warm → kubectl get clusters", start, "s", EARLIER_START, who, "≤ 2 s")

    def restart(self, bindings: int, ready: float, delivered: float) -> None:
        who = "Karmada, 1,000"
        self.add(f"killed with {bindings:,} bindings: start → ready", ready, "s")
        self.add("… ready → a new template in all members", delivered, "s", EARLIER_RESTART, who, "≤ 2 s")

    def api(self, ours: Figures, theirs: Figures) -> None:
        who = "kube-apiserver"
        targets = {"create": ("≥ 1.5", "≤ 0.7"), "get": ("≥ 1.5", "≤ 0.4"), "patch": ("–", "≤ 0.7")}
        for name, (speed, cost) in targets.items():
            mine, other = getattr(ours, name), getattr(theirs, name)
            for connections in mine:
                aim = speed if connections == 32 else "–"
                label = f"{name}, {connections} connection{'s' * (connections > 1)}"
                self.add(label, mine[connections].per_second, "/s", other[connections].per_second, who, _ratio(aim))
                self.add(f"{label}: CPU", mine[connections].cpu_ms, "ms", other[connections].cpu_ms, who, _ratio(cost))
        for label, mine, other, cost in (
            ("update", ours.update, theirs.update, "≤ 0.8"),
            ("create a Deployment", ours.create_deployment, theirs.create_deployment, "≤ 0.7"),
            ("server-side apply, new Deployment", ours.apply_new, theirs.apply_new, "≤ 1"),
            ("server-side apply, changed Deployment", ours.apply_change, theirs.apply_change, "≤ 1"),
        ):
            self.add(f"{label}, 32 connections", mine.per_second, "/s", other.per_second, who)
            self.add(f"{label}, 32 connections: CPU", mine.cpu_ms, "ms", other.cpu_ms, who, _ratio(cost))
        for size, median in ours.list_ms.items():
            self.add(f"LIST of {size:,}, p50", median, "ms", theirs.list_ms[size], who, _ratio("≤ 0.33"))
            self.add(f"LIST of {size:,}: CPU", ours.list_cpu_ms[size], "ms", theirs.list_cpu_ms[size], who)
        for size, mib in ours.memory_mib.items():
            target = _ratio("≤ 0.5") if size >= 10000 else "–"
            self.add(f"memory with {size:,} ConfigMaps of 2 kB (PSS)", mib, "MiB", theirs.memory_mib[size], who, target)
        self.add("watch, 50 watchers: events", ours.event.per_second, "/s", theirs.event.per_second, who)
        per = "watch, 50 watchers: CPU per delivered event"
        self.add(per, ours.delivery_ms * 1000, "µs", theirs.delivery_ms * 1000, who, _ratio("≤ 0.5"))
        self.add(f"{per} and its share of the write", ours.event.cpu_ms * 1000, "µs", theirs.event.cpu_ms * 1000, who)


def _ratio(target: str) -> str:
    return target if target == "–" else f"ratio {target}"


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
