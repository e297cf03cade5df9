"""Tables and charts of a report, for the console, CSV files and the API. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from shop.core.money import Money
from shop.payments.records.types import Allocation, Source
from shop.statistics import decide, times
from shop.statistics.cells import Cell, Change, Column, Name, Percent, Table, Within
from shop.statistics.charts import Columns, Shares, columns
from shop.statistics.decide import Subject, Sum, share
from shop.statistics.periods import Question
from shop.statistics.sums import Counted, Key, Sums

MOST_CODES = 20
"""Codes of declines that are listed; the others are one row."""
_BEFORE = ("Before", "amount")
_COMPARED = (("Amount", "amount"), _BEFORE, ("Amount before", "amount"), ("Change", "amount"))


def tables(question: Question, sums: Sums) -> tuple[Table, ...]:
    """The tables of the page, in its order. One without rows is left out."""
    made = (*_of_orders(question, sums), _providers(sums), _money(sums), _methods(sums), *_of_times(sums))
    every = (*made, _sources(sums), _declines(sums), _alerts(sums))
    return tuple(table for table in every if table.rows)


# --- orders ----------------------------------------------------------------------------------------------------------


def _of_orders(question: Question, sums: Sums) -> Iterable[Table]:
    now, before = sums.grouped(Subject.ORDER, "state", "currency")
    states = (decide.PLACED, decide.PAID, decide.EXPIRED, decide.CANCELLED)
    keys = [(state, currency) for currency in sums.currencies() for state in states]
    rows = tuple((Name(key[0]), key[1], *_compared(now, before, key)) for key in keys if key in now or key in before)
    by_state, _ = sums.grouped(Subject.ORDER, "state")
    placed, paid = (by_state[(state,)].number for state in (decide.PLACED, decide.PAID))
    sentence = f"{_many(placed, 'order was', 'orders were')} placed, and {paid:,} paid."
    yield Table("orders", "Orders", sentence, (("State", ""), ("Currency", ""), ("Orders", "amount"), *_COMPARED), rows)
    yield _days(question, sums)


_Days = Mapping[tuple[date, str], tuple[Sum, Sum, Sum]]
"""Sums of a day in a currency: placed, paid, refunded."""


def _days(question: Question, sums: Sums) -> Table:
    days = [question.first + timedelta(days=number) for number in range(question.days)]
    currencies = sums.currencies()
    found = {(day, currency): _of_day(sums, day, currency) for day in days for currency in currencies}
    rows = []
    for day in reversed(days):
        for currency in currencies:
            placed, paid, refunded = found[day, currency]
            if placed.number or paid.number or refunded.number:
                money = (Money(paid.amount, currency), Money(refunded.amount, currency))
                rows.append((day, currency, placed.number, paid.number, *money))
    headings = (("Placed", "amount"), ("Paid", "amount"), ("Amount paid", "amount"), ("Refunded", "amount"))
    charts = (_orders_chart(days, currencies, found), *(_paid_chart(days, one, found) for one in currencies))
    sentence = "Orders by the day on which they were placed and paid, and refunds by the day on which they were done."
    columns_ = (("Day", ""), ("Currency", ""), *headings)
    return Table("days", "Days", sentence, columns_, tuple(rows), charts if len(days) > 1 else ())


def _of_day(sums: Sums, day: date, currency: str) -> tuple[Sum, Sum, Sum]:
    placed = sums.of_day(day, Subject.ORDER, decide.PLACED, currency)
    paid = sums.of_day(day, Subject.ORDER, decide.PAID, currency)
    return placed, paid, sums.of_day(day, Subject.REFUND, decide.DONE, currency)


def _orders_chart(days: Sequence[date], currencies: Iterable[str], found: _Days) -> Columns:
    by_day = [(day, [found[day, currency] for currency in currencies]) for day in days]
    counts = [(day, sum(one[0].number for one in each), sum(one[1].number for one in each)) for day, each in by_day]
    values = [(f"{day}: {placed:,} placed, {paid:,} paid", placed, paid) for day, placed, paid in counts]
    highest = max(counts, key=lambda one: max(one[1:]))
    top = f"{max(highest[1:]):,}"
    label = f"Orders placed and paid each day; the highest bar is {top} on {highest[0]}. The table has all values."
    return columns(label, values, (f"{days[0]}", f"{days[-1]}", f"{top} orders"), ("placed", "paid"))


def _paid_chart(days: Sequence[date], currency: str, found: _Days) -> Columns:
    amounts = [(day, found[day, currency][1].amount) for day in days]
    values = [(f"{day}: {Money(amount, currency).with_code()}", amount, 0) for day, amount in amounts]
    day, most = max(amounts, key=lambda one: one[1])
    top = Money(most, currency).with_code()
    label = f"Amount paid each day in {currency}; the highest bar is {top} on {day}. The table has all values."
    return columns(label, values, (f"{days[0]}", f"{days[-1]}", top), (f"amount paid, {currency}",))


# --- payments --------------------------------------------------------------------------------------------------------


def _providers(sums: Sums) -> Table:
    now, before = (_by_provider(*pair) for pair in zip(*_payments(sums), strict=True))
    rows: list[tuple[Cell, ...]] = []
    for provider in sorted({*now, *before}):
        counted, earlier = now.get(provider, {}), before.get(provider, {})
        numbers = [counted.get(state, 0) for state in _STATES]
        rates = (Percent(success(counted)), Percent(success(earlier)))
        rows.append((Name(provider, "provider"), *numbers, *rates))
    rates_now = (success(now.get(provider, {})) for provider in sorted({*now, *before}))
    chart = Shares("Success of each provider, in percent.", tuple(_bar(rate) for rate in rates_now))
    headings = tuple((state.capitalize(), "amount") for state in _STATES)
    sentence = "Success is the share of the payments that ended in the period that were captured."
    every = (("Provider", ""), *headings, ("Success", "amount"), ("Success before", "amount"))
    return Table("providers", "Payments by provider", sentence, every, tuple(rows), shares=chart)


_CAPTURED = "captured"
_STATES = (decide.INITIATED, _CAPTURED, decide.FAILED, decide.CANCELLED, decide.EXPIRED)


def _payments(sums: Sums) -> tuple[Sequence[Counted], Sequence[Counted]]:
    return sums.grouped(Subject.PAYMENT, "provider", "state"), sums.grouped(Subject.CAPTURE, "provider", "state")


def _by_provider(payments: Counted, captures: Counted) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (provider, state), counted in payments.items():
        found.setdefault(provider, {})[state] = counted.number
    for (provider, state), counted in captures.items():
        if state in (Allocation.PAYS_ORDER, Allocation.MISMATCH):
            of_provider = found.setdefault(provider, {})
            of_provider[_CAPTURED] = of_provider.get(_CAPTURED, 0) + counted.number
    return found


def success(counted: Mapping[str, int]) -> float | None:
    """The share, in percent, of the payments that ended in a period that were captured; None if none has ended. Late
    and duplicate captures do not count.
    """
    captured = counted.get(_CAPTURED, 0)
    return share(captured, captured + sum(counted.get(state, 0) for state in _STATES[2:]))


def _money(sums: Sums) -> Table:
    kinds: tuple[tuple[Subject, tuple[str, ...]], ...] = (
        (Subject.CAPTURE, tuple(Allocation)),
        (Subject.REFUND, (decide.REQUESTED, decide.DONE, decide.REJECTED)),
        (Subject.DISPUTE, (decide.OPENED, decide.WON, decide.LOST)),
    )
    rows: list[tuple[Cell, ...]] = []
    for subject, states in kinds:
        now, before = sums.grouped(subject, "state", "currency")
        for key in [(state, currency) for currency in sums.currencies() for state in states]:
            if key in now or key in before:
                rows.append((Name(subject), Name(key[0]), key[1], *_compared(now, before, key)))
    sentence = "Late and duplicate captures pay for no order and are refunded automatically."
    every = (("Kind", ""), ("State", ""), ("Currency", ""), ("Number", "amount"), *_COMPARED)
    return Table("money", "Captures, refunds and disputes", sentence, every, tuple(rows))


def _methods(sums: Sums) -> Table:
    now, before = sums.grouped(Subject.CAPTURE, "method", "currency")
    whole = sum(one.number for one in now.values())
    rows = tuple(
        (Name(key[0] or "not known"), key[1], *_compared(now, before, key), Percent(share(now[key].number, whole)))
        for key in sorted({*now, *before})
    )
    every = (("Method", ""), ("Currency", ""), ("Captures", "amount"), *_COMPARED, ("Share", "amount"))
    return Table("methods", "Methods", "What captured payments were paid with.", every, rows)


# --- time and source -------------------------------------------------------------------------------------------------


def _of_times(sums: Sums) -> Iterable[Table]:
    now, before = times.by_provider(sums)
    rows = [
        (
            Name(provider, "provider") if provider else "All",
            sum(now.get(provider, {}).values()),
            *(Within(times.percentile(now.get(provider, {}), percent)) for percent in (50, 95, 99)),
            *(Within(times.percentile(before.get(provider, {}), percent)) for percent in (50, 95, 99)),
        )
        for provider in sorted({*now, *before})
    ]
    names = tuple((name, "amount") for name in ("p50", "p95", "p99", "p50 before", "p95 before", "p99 before"))
    sentence = "Time from the capture at the acquirer until the order was paid here. Times are upper limits of classes."
    every = (("Provider", ""), ("Captures", "amount"), *names)
    yield Table("times", "Time to paid", sentence, every, tuple(rows) if any(now.values()) else ())
    yield _histogram(now.get("", {}))


def _histogram(classes: Mapping[float, int]) -> Table:
    whole, used = sum(classes.values()), [one for one in decide.LIMITS if classes.get(one)]
    shown = [one for one in decide.LIMITS if used and used[0] <= one <= used[-1]]
    rows = tuple((_class(one), classes.get(one, 0), Percent(share(classes.get(one, 0), whole))) for one in shown)
    every = (("Time", ""), ("Captures", "amount"), ("Share", "amount"))
    charts: tuple[Columns, ...] = ()
    if len(shown) > 1:
        values = [(f"{_class(one)}: {classes.get(one, 0):,}", classes.get(one, 0), 0) for one in shown]
        top = max(shown, key=lambda one: classes.get(one, 0))
        label = f"Captures by the time until their order was paid; most, {classes[top]:,}, took {_class(top)}."
        edges = (_class(shown[0]), _class(shown[-1]), f"{classes[top]:,} captures")
        charts = (columns(label, values, edges, ("captures",)),)
    return Table("classes", "Times by class", "Number of captures by the time until paid.", every, rows, charts)


def _class(upper: float) -> str:
    first, last = times.range_of(upper)
    if not first:
        return f"up to {span(last)}"
    return f"over {span(first)}" if last == float("inf") else f"{span(first)} to {span(last)}"


def span(seconds: float) -> str:
    """A length of time in words: 7.5 s, 5 min, 1 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0 and seconds != size * 1.5:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _sources(sums: Sums) -> Table:
    now, before = sums.grouped(Subject.SOURCE, "state")
    named: dict[Key, Name] = {(source,): Name(source) for source in Source if (source,) in now or (source,) in before}
    sentence = "The source of the update from which the shop learned that an order is paid."
    every = (("Source", ""), ("Captures", "amount"), ("Share", "amount"), _BEFORE, ("Share before", "amount"))
    return _shares("sources", "How payments were learned", sentence, every, named, now, before)


def _declines(sums: Sums) -> Table:
    now, before = sums.grouped(Subject.DECLINE, "state")
    keys = sorted({*now, *before}, key=lambda key: (-now[key].number, key))
    named = {key: Name(key[0], "code") for key in keys[:MOST_CODES]}
    every = (("Code", ""), ("Declines", "amount"), ("Share", "amount"), _BEFORE, ("Share before", "amount"))
    sentence = "Attempts that were declined, by the code of the acquirer. A payment can be declined several times."
    return _shares("declines", "Declines", sentence, every, named, now, before)


def _shares(
    key: str,
    title: str,
    sentence: str,
    every: tuple[Column, ...],
    named: Mapping[Key, Name],
    now: Counted,
    before: Counted,
) -> Table:
    """A table of numbers with their shares. Keys without a name are one row."""
    whole, earlier = (sum(one.number for one in each.values()) for each in (now, before))
    counted: list[tuple[Cell, int, int]] = [(name, now[one].number, before[one].number) for one, name in named.items()]
    if others := {*now, *before} - {*named}:
        sum_now, sum_before = (sum(each[one].number for one in others) for each in (now, before))
        counted.append(("all others", sum_now, sum_before))
    rows = tuple(
        (name, number, Percent(share(number, whole)), number_before, Percent(share(number_before, earlier)))
        for name, number, number_before in counted
    )
    chart = Shares(f"{title}, in percent.", tuple(_bar(share(number, whole)) for _, number, _ in counted))
    return Table(key, title, sentence, every, rows, shares=chart if whole else None)


def _alerts(sums: Sums) -> Table:
    now, before = sums.grouped(Subject.ALERT, "state")
    rows = tuple((key[0], now[key].number, before[key].number) for key in sorted({*now, *before}))
    sentence = "Alerts by rule, of all currencies and providers."
    return Table("alerts", "Alerts", sentence, (("Rule", ""), ("Alerts", "amount"), _BEFORE), rows)


def _compared(now: Counted, before: Counted, key: Key) -> tuple[Cell, ...]:
    """Number and amount of the period and of the one before, and the change of the number. The key has the currency."""
    (number, amount), (earlier, amount_before), currency = now[key], before[key], key[1]
    return number, Money(amount, currency), earlier, Money(amount_before, currency), change(number, earlier)


def change(number: int, before: int) -> Change:
    """The change of a number against the one before, in percent, rounded to a whole."""
    return Change(round(100 * (number - before) / before) if before else None)


def _bar(percent: float | None) -> tuple[float, str]:
    return (0.0, "–") if percent is None else (percent, f"{percent:g} %")


def _many(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
