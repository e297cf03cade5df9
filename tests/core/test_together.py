"""What arrives at the same time is done as one, and nobody waits for others who could go alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from shop.core import together as module
from shop.core.together import Together
from tests.parts.waiting import until


class Desk:
    """Work for many hands: tasks are letters, done together they come back in capitals, alone with a mark."""

    def __init__(self, *, lanes: int = 1, most: int = 8, patience: float = 30) -> None:
        self.together: Together[str, str] = Together(self.work, lanes=lanes, most=most, patience=patience)
        self.groups: list[list[str]] = []
        self.results: dict[str, Any] = {}
        self.before_work: Callable[[], None] = lambda: None
        self._threads: list[threading.Thread] = []
        self._gates: list[threading.Event] = []

    def work(self, tasks: Sequence[str]) -> list[str | None]:
        self.groups.append(list(tasks))
        self.before_work()
        return [None if task == "odd" else task.upper() for task in tasks]

    def occupied(self, lanes: int = 1) -> None:
        """Somebody is in each lane until `go_on`."""
        for number in range(lanes):
            gate, inside = threading.Event(), threading.Event()

            def alone(gate: threading.Event = gate, inside: threading.Event = inside) -> str:
                inside.set()
                gate.wait(30)
                return "slow"

            self._gates.append(gate)
            self._start(f"slow {number}", alone)
            assert inside.wait(10)

    def gathers(self, *tasks: str, about: str = "") -> None:
        """These come one after the other, and find no lane."""
        for task in tasks:
            before = self.together.waiting
            self._start(task, lambda task=task: f"{task} alone", about=about)
            until(lambda before=before: self.together.waiting > before)

    def go_on(self) -> None:
        for gate in self._gates:
            gate.set()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, task: str, alone: Callable[[], str], about: str = "") -> None:
        def call() -> None:
            try:
                self.results[task] = self.together.do(task, alone, about=about or task)
            except Exception as error:  # noqa: BLE001 - what a caller gets is the result
                self.results[task] = error

        self._threads.append(threading.Thread(target=call))
        self._threads[-1].start()


def test_who_comes_alone_goes_alone_and_at_once() -> None:
    desk = Desk()
    assert [desk.together.do(task, lambda: "alone", about=task) for task in ("a", "b")] == ["alone", "alone"]
    assert desk.groups == []


def test_those_who_waited_for_a_lane_go_together_in_the_order_in_which_they_came() -> None:
    desk = Desk()
    desk.occupied()
    desk.gathers("a", "b", "c")
    desk.go_on()
    assert desk.groups == [["a", "b", "c"]]
    assert (desk.results["a"], desk.results["b"], desk.results["c"]) == ("A", "B", "C")


def test_a_group_has_a_largest_size_and_the_next_one_follows() -> None:
    desk = Desk(most=2)
    desk.occupied()
    desk.gathers("a", "b", "c", "d", "e")
    desk.go_on()
    assert desk.groups == [["a", "b"], ["c", "d"]]
    assert desk.results["e"] == "e alone"


def test_two_about_the_same_thing_never_go_together() -> None:
    desk = Desk()
    desk.occupied()
    desk.gathers("a", "b", about="one order")
    desk.gathers("c")
    desk.go_on()
    assert desk.groups == [["a", "c"]]
    assert desk.results["b"] == "b alone"


def test_what_the_work_leaves_aside_is_done_alone_after_the_others() -> None:
    desk = Desk()
    desk.occupied()
    desk.gathers("a", "odd", "c")
    desk.go_on()
    assert (desk.results["a"], desk.results["odd"], desk.results["c"]) == ("A", "odd alone", "C")


def test_work_that_fails_is_done_by_each_alone_and_the_lane_is_free_again() -> None:
    desk = Desk()
    desk.before_work = lambda: 1 / 0  # type: ignore[assignment,return-value]
    desk.occupied()
    desk.gathers("a", "b")
    desk.go_on()
    assert (desk.results["a"], desk.results["b"]) == ("a alone", "b alone")
    assert desk.together.do("c", lambda: "alone", about="c") == "alone"


def test_who_fails_alone_hears_of_it_and_the_lane_is_free_again() -> None:
    desk = Desk()

    def wrong() -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        desk.together.do("a", wrong, about="a")
    assert desk.together.do("b", lambda: "alone", about="b") == "alone"


def test_who_waited_too_long_for_a_lane_goes_without_one() -> None:
    desk = Desk(patience=0.05)
    desk.occupied()
    assert desk.together.do("a", lambda: "alone", about="a") == "alone"
    assert desk.together.waiting == 0
    desk.go_on()


def test_while_the_line_moves_everybody_stays_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, now = [0], [1000.0]

    def clock() -> float:
        looked[0] += 1
        return now[0]

    monkeypatch.setattr(module, "monotonic", clock)
    desk = Desk(patience=0.05)
    desk.occupied()
    desk.gathers("a")
    before = looked[0]
    until(lambda: looked[0] >= before + 3, what="three looks at the line, a patience after each other")
    assert desk.together.waiting == 1
    now[0] += 1
    until(lambda: desk.results.get("a") == "a alone")
    desk.go_on()


def test_who_is_taken_along_stays_until_the_work_is_done_however_long_it_takes() -> None:
    desk = Desk(patience=1.0)
    patience_is_over = threading.Event()
    desk.before_work = lambda: patience_is_over.wait(10)  # type: ignore[assignment,return-value]
    desk.occupied()
    desk.gathers("a", "b")
    for gate in desk._gates:
        gate.set()
    until(lambda: desk.groups)
    desk.together.do("c", patience_is_over.set, about="c")  # type: ignore[arg-type]
    desk.go_on()
    assert (desk.results["a"], desk.results["b"]) == ("A", "B")


class Stopped:
    """The lock of a caller who is stopped while waiting."""

    def __init__(self) -> None:
        self.held = False

    def acquire(self, **_: float) -> bool:
        if self.held:
            raise KeyboardInterrupt
        self.held = True
        return True

    def release(self) -> None:
        """The call comes when nobody hears it any more."""


@pytest.mark.parametrize("busy", [False, True], ids=["called already", "in line"])
def test_who_is_stopped_while_waiting_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    desk = Desk()
    if busy:
        desk.occupied()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_Place", partial(module._Place, asleep=Stopped()))
        with pytest.raises(KeyboardInterrupt):
            desk.together.do("a", lambda: "alone", about="a")
    assert desk.together.waiting == 0
    desk.go_on()
    assert desk.together.do("b", lambda: "alone", about="b") == "alone"


def test_with_two_lanes_two_groups_are_under_way_and_none_is_lost(races: int = 200) -> None:
    desk = Desk(lanes=2, most=3)
    results: list[str] = []
    barrier = threading.Barrier(8)

    def come(who: int) -> None:
        barrier.wait()
        for turn in range(races):
            task = f"{who}-{turn}"
            results.append(desk.together.do(task, lambda task=task: f"{task} alone", about=task).split()[0].lower())

    threads = [threading.Thread(target=come, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == sorted(f"{who}-{turn}" for who in range(8) for turn in range(races))
    assert all(len(group) <= 3 for group in desk.groups)
