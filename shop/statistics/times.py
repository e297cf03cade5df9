"""Times from capture to paid: classes of providers, and percentiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from shop.statistics.decide import LIMITS, Subject
from shop.statistics.sums import Counted, Sums

Classes = dict[str, dict[float, int]]
"""Number of times by the upper limit of their class, of each provider and, without a name, of all."""


def by_provider(sums: Sums) -> tuple[Classes, Classes]:
    """The classes of the period and of the one before."""
    now, before = sums.grouped(Subject.TIME, "provider", "state")
    return _classes(now), _classes(before)


def _classes(found: Counted) -> Classes:
    classes: Classes = {}
    for (provider, state), counted in found.items():
        for name in {provider, ""}:
            of = classes.setdefault(name, {})
            of[float(state)] = of.get(float(state), 0) + counted.number
    return classes


def percentile(classes: Mapping[float, int], percent: int) -> float | None:
    """The upper limit, in seconds, of the class that has the nearest-rank percentile; None without times. The largest
    class has no limit: the result is then infinite.
    """
    rank = -(-sum(classes.values()) * percent // 100)
    for each in sorted(classes):
        rank -= classes[each]
        if classes[each] and rank <= 0:
            return each
    return None


def range_of(upper: float) -> tuple[float, float]:
    """The limits of a class, by its upper one."""
    lower = {second: first for first, second in pairwise((0.0, *LIMITS))}
    return lower[upper], upper
