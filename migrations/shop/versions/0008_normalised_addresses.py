"""normalised spelling of e-mail addresses

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-29 09:30:00
"""

import unicodedata

import sqlalchemy as sa
from alembic import op
from email_validator import EmailNotValidError, validate_email

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BATCH = 1000


def upgrade():
    for table in ("orders", "users"):
        _respell(table)


def downgrade():
    # The version before finds normalised addresses too.
    pass


def _respell(table):
    connection = op.get_bind()
    columns = sa.table(table, sa.column("id", sa.Integer), sa.column("email", sa.Text))
    last = 0
    while True:
        page = sa.select(columns.c.id, columns.c.email).where(columns.c.id > last).order_by(columns.c.id).limit(BATCH)
        rows = connection.execute(page).all()
        if not rows:
            return
        for row_id, written in rows:
            email = _normal(written)
            if email != written and not (table == "users" and _is_taken(connection, columns, email)):
                connection.execute(sa.update(columns).where(columns.c.id == row_id).values(email=email))
        last = rows[-1][0]


def _is_taken(connection, columns, email):
    # Two accounts that differ in spelling alone keep their addresses; support decides about them.
    return connection.execute(sa.select(columns.c.id).where(columns.c.email == email)).first() is not None


def _normal(written):
    if written.isascii() and written == written.lower() and "xn--" not in written:
        return written
    seen = "".join(letter for letter in written if unicodedata.category(letter) != "Cf")
    try:
        found = validate_email(unicodedata.normalize("NFKC", seen).strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        return written
    return unicodedata.normalize("NFC", found.lower())
