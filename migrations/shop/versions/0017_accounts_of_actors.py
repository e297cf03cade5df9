"""names of staff become accounts, and two people decide about a refund

A name that is the e-mail of an account with a role becomes that account; another name stays readable. The name also
stays where the account would make one person of the two who decided: the row says what was allowed then.

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-29 19:45:00

"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NAME = "ck_refunds_two_people"
COLUMNS = {
    ("order_events", "actor"): None,
    ("refunds", "asked_by"): "approved_by",
    ("refunds", "approved_by"): "asked_by",
    ("payouts", "asked_by"): "decided_by",
    ("payouts", "decided_by"): "asked_by",
    ("alerts", "acknowledged_by"): None,
    ("alerts", "resolved_by"): None,
}
"""Columns of actors, each with that of the other person who decides about the row."""
KINDS = "customer|staff|webhook|poll|return|view|closing|start|settlement file|automatic|acquirer|watcher"
ACTOR = re.compile(rf"({KINDS})(:\d+|/.*)?", re.DOTALL)
USERS = sa.table("users", sa.column("id"), sa.column("email"), sa.column("roles", sa.JSON))


def upgrade():
    connection = op.get_bind()
    people = connection.execute(sa.select(USERS.c.id, USERS.c.email, USERS.c.roles))
    accounts = {person.email.lower(): person.id for person in people if person.roles}
    for (table, column), other in COLUMNS.items():
        changed = sa.table(table, sa.column(column), *([sa.column(other)] if other else ()))
        value = changed.c[column]
        for old in connection.scalars(sa.select(value).distinct().where(value.is_not(None))).all():
            new = actor_of(old, accounts)
            if new != old:
                two = changed.c[other].is_(None) | (changed.c[other] != new) if other else sa.true()
                connection.execute(sa.update(changed).where(value == old, two).values({column: new}))
    with op.batch_alter_table("refunds") as refunds:
        refunds.create_check_constraint(op.f(NAME), "approved_by <> asked_by")


def actor_of(text, accounts):
    """The text form of the actor that a stored text names."""
    name = text.removeprefix("staff/")
    if name == text and ACTOR.fullmatch(text):
        return text
    account = accounts.get(name.strip().lower())
    return f"staff/{name}" if account is None else f"staff:{account}"


def downgrade():
    # Accounts stay: the version before reads them too.
    with op.batch_alter_table("refunds") as refunds:
        refunds.drop_constraint(op.f(NAME), type_="check")
