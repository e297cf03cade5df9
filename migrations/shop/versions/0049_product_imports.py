"""imports of products from CSV files

Revision ID: 0049
Revises: 0048
Create Date: 2026-12-01 08:30:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
DUE, RUNNING = sa.text("due_at IS NOT NULL"), sa.text("state = 'RUNNING'")
COUNTS = ("lines", "done", "created", "changed", "unchanged", "refused")


def upgrade():
    op.create_table(
        "product_imports",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("is_dry_run", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.CheckConstraint("state IN ('RUNNING', 'DONE', 'FAILED')", name="state_known"),
        sa.CheckConstraint("(state = 'RUNNING') = (due_at IS NOT NULL)", name="due_while_running"),
    )
    op.create_index("ix_product_imports_due", "product_imports", ["due_at"], postgresql_where=DUE, sqlite_where=DUE)
    op.create_index(
        "ix_product_imports_running",
        "product_imports",
        ["state"],
        unique=True,
        postgresql_where=RUNNING,
        sqlite_where=RUNNING,
    )
    op.create_index("ix_product_imports_requested", "product_imports", ["requested_at"])
    op.create_table(
        "product_import_parts",
        sa.Column("import_id", sa.Text(), sa.ForeignKey("product_imports.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("rows", sa.JSON(), nullable=False),
    )
    op.create_table(
        "product_import_lines",
        sa.Column("import_id", sa.Text(), sa.ForeignKey("product_imports.id"), primary_key=True),
        sa.Column("line", sa.Integer(), primary_key=True),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("what", sa.JSON(), nullable=False),
        sa.CheckConstraint("outcome IN ('created', 'changed', 'refused')", name="outcome_known"),
    )


def downgrade():
    op.drop_table("product_import_lines")
    op.drop_table("product_import_parts")
    op.drop_index("ix_product_imports_requested", table_name="product_imports")
    op.drop_index("ix_product_imports_running", table_name="product_imports")
    op.drop_index("ix_product_imports_due", table_name="product_imports")
    op.drop_table("product_imports")
