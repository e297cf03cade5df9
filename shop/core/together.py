"""Work that arrives at the same time, done as one: the group commit of databases, one floor higher.

Whoever finds a lane free goes at once, so a single caller never waits. While all lanes are busy, callers stand in line;
the first one who gets a lane takes the others along.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from shop.core import logs

log = logs.get()
T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Place(Generic[T, R]):
    """A caller: what is to be done, what came of it, and whether the caller is to lead a group. `asleep` is held until
    the caller is called, which happens once: a bare lock, because an Event costs greenlets several times as much.
    """

    task: T
    about: Hashable
    leads: bool = False
    result: R | None = None
    asleep: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.asleep.acquire()


class Together(Generic[T, R]):
    """`work` does several tasks as one and returns a result for each, None for one that has to be done by itself.

    At most `lanes` groups are under way at once, of at most `most` tasks. When no lane has become free for `patience`
    seconds, whoever has waited that long goes without one.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R | None]], *, lanes: int, most: int, patience: float
    ) -> None:
        self._work, self._free, self._most, self._patience = work, lanes, most, patience
        self._line: deque[_Place[T, R]] = deque()
        self._moved = monotonic()
        self._guard = threading.Lock()

    def do(self, task: T, alone: Callable[[], R], *, about: Hashable) -> R:
        """What became of `task`: of `work` together with others, or of `alone()`, in the caller's own thread.

        Two tasks about the same thing never go together. Whatever `work` raises, its tasks are done alone then.
        """
        place: _Place[T, R] = _Place(task, about)
        self._enter(place)
        try:
            while not place.asleep.acquire(timeout=self._patience):
                if self._leaves(place):
                    return alone()
        except BaseException:  # whoever is stopped here holds up nobody
            self._gives_up(place)
            raise
        if place.leads:
            try:
                group = self._group(place)
                if len(group) == 1:
                    return alone()
                self._carry_out(group)
            finally:
                self._pass_on()
        return alone() if place.result is None else place.result

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def _enter(self, place: _Place[T, R]) -> None:
        with self._guard:
            self._line.append(place)
            if self._free:
                self._free -= 1
                self._moved = monotonic()
                self._call()

    def _leaves(self, place: _Place[T, R]) -> bool:
        """Whether the place is given up: nobody has taken it along, and the line stands still."""
        with self._guard:
            leaves = place in self._line and monotonic() - self._moved >= self._patience
            if leaves:
                self._line.remove(place)
            return leaves

    def _gives_up(self, place: _Place[T, R]) -> None:
        with self._guard:
            if place in self._line:
                self._line.remove(place)
        if place.leads:
            self._pass_on()

    def _pass_on(self) -> None:
        """The lane is for the next in line."""
        with self._guard:
            self._moved = monotonic()
            if self._line:
                self._call()
            else:
                self._free += 1

    def _call(self) -> None:
        first = self._line.popleft()
        first.leads = True
        first.asleep.release()

    def _group(self, leader: _Place[T, R]) -> list[_Place[T, R]]:
        """The leader, and those in line that it takes along."""
        with self._guard:
            group = {leader.about: leader}
            for place in self._line:
                if len(group) == self._most:
                    break
                group.setdefault(place.about, place)
            taken = list(group.values())
            for place in taken[1:]:
                self._line.remove(place)
            return taken

    def _carry_out(self, group: list[_Place[T, R]]) -> None:
        try:
            for place, result in zip(group, self._work([place.task for place in group]), strict=True):
                place.result = result
        except Exception as error:  # noqa: BLE001 - each finds out alone what is wrong with it
            log.warning("together.apart", tasks=len(group), error=f"{type(error).__name__}: {error}")
            for place in group:
                place.result = None
        finally:
            for place in group[1:]:  # the leader is awake
                place.asleep.release()
