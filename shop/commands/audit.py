"""`flask audit …`: list and verify the audit log."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from flask.cli import with_appcontext

from shop.accounts import staff
from shop.commands import Group, Moment
from shop.core import audit_search, audit_verify
from shop.core.actor import Actor
from shop.core.audit import Act, SubjectKind
from shop.core.audit_search import Entry, Filters

_ACTS = click.Choice([str(act) for act in Act])
_KINDS = click.Choice([str(kind) for kind in SubjectKind])


class SealName(click.ParamType[tuple[int, str]]):
    """Number and HMAC of a seal, as they were logged."""

    name = "number:hmac"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        found = re.fullmatch("([1-9][0-9]{0,8}):([0-9a-f]{64})", str(value).strip())
        if found is None:
            self.fail("Give a seal as it was logged: its number, a colon and 64 digits from 0 to f.", param, ctx)
        return int(found[1]), found[2]


@click.group(cls=Group)
def audit() -> None:
    """The audit log: acts of staff and operators, and sign-ins of accounts with a role."""


@audit.command("list")
@click.option("--by", help="E-mail of the account that acted.")
@click.option("--act", "acts", type=_ACTS, multiple=True, help="Act; can be repeated.")
@click.option("--kind", type=_KINDS, help="Kind of the thing that the act is about.")
@click.option("--id", "subject_id", default="", help="Id or number of that thing.")
@click.option("--request", "request_id", default="", help="Request id.")
@click.option("--from", "since", type=Moment(), help="First moment.")
@click.option("--until", type=Moment(), help="First moment after the range.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def list_entries(
    by: str | None,
    acts: tuple[str, ...],
    kind: str | None,
    subject_id: str,
    request_id: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List entries, the newest first."""
    filters = Filters(
        actor=Actor.staff(staff.account_of(by).id) if by is not None else None,
        acts=[Act(act) for act in acts],
        subject_kind=SubjectKind(kind) if kind else None,
        subject_id=subject_id,
        request_id=request_id,
        since=since,
        until=until,
    )
    page = audit_search.find(filters, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(entry) | {"at": entry.at.isoformat()} for entry in page.rows], indent=2))
        return
    for entry in page.rows:
        click.echo(_line(entry))
    if page.older is not None:
        click.echo(f"… and earlier ones: --until {page.older.at.isoformat()}")


@audit.command()
@click.option("--newest", "known", type=SealName(), help="A seal from the log: the audit log must still contain it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@with_appcontext
def verify(known: tuple[int, str] | None, as_json: bool) -> None:
    """Verify every seal and every sealed entry. Exits with 1 and prints what is wrong.

    The log has the newest seal every hour. Without one from there, entries that were cut off at the end are not found.
    """
    report = audit_verify.verify(known=known)
    if as_json:
        click.echo(json.dumps(asdict(report) | {"holds": report.holds}, indent=2))
    else:
        click.echo("\n".join(_result(report)))
    sys.exit(0 if report.holds else 1)


def _result(report: audit_verify.Report) -> Iterator[str]:
    for problem in report.problems:
        yield f"FAIL {problem.sentence}"
    yield (
        f"{report.entries} entries under {report.seals} seals are verified; the personal values of {report.erased} are "
        "erased."
    )
    if report.newest:
        yield f"The newest seal is {report.newest}"


def _line(entry: Entry) -> str:
    about = f"{entry.subject_kind} {entry.subject_id}".rstrip()
    change = " → ".join(_words(values) for values in (entry.before, entry.after) if values)
    parts = [about, change, entry.reason, _words(entry.personal) if entry.personal else ""]
    return f"{entry.id} {entry.at:%Y-%m-%d %H:%M:%S}Z {entry.actor} {entry.act}: {', '.join(filter(None, parts))}"


def _words(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(", ", ": "))[1:-1]
