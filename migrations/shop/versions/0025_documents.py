"""receipts, credit notes and cancellations

Revision ID: 0025
Revises: 0024
Create Date: 2026-11-30 07:30:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "document_years",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.CheckConstraint("last >= 0", name=op.f("ck_document_years_last_not_negative")),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_document_years")),
    )
    op.create_table(
        "documents",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("refers_to", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("tax_amount", sa.BigInteger(), nullable=False),
        sa.Column("delivery_amount", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("seller", sa.JSON(), nullable=False),
        sa.Column("customer", sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('receipt', 'credit_note', 'cancellation')", name=op.f("ck_documents_kind_known")),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_documents_sequence_positive")),
        sa.CheckConstraint("total_amount >= 0", name=op.f("ck_documents_total_not_negative")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_documents_order_id")),
        sa.ForeignKeyConstraint(["refers_to"], ["documents.number"], name=op.f("fk_documents_refers_to")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_documents")),
        sa.UniqueConstraint("order_id", "cause", name=op.f("uq_documents_order_id")),
        sa.UniqueConstraint("year", "sequence", name=op.f("uq_documents_year")),
    )
    op.create_table(
        "document_lines",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_amount", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("is_included", sa.Boolean(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_document_lines_quantity_positive")),
        sa.CheckConstraint(
            "kind IN ('item', 'delivery', 'discount', 'tax', 'refund', 'difference')",
            name=op.f("ck_document_lines_kind_known"),
        ),
        sa.ForeignKeyConstraint(["number"], ["documents.number"], name=op.f("fk_document_lines_number")),
        sa.PrimaryKeyConstraint("number", "position", name=op.f("pk_document_lines")),
    )
    op.create_table(
        "document_files",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["documents.number"], name=op.f("fk_document_files_number")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_document_files")),
    )


def downgrade():
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM documents)")):  # their numbers may not be used again
        raise RuntimeError("The older version cannot read documents. Run `db upgrade` and keep this version.")
    for table in ("document_files", "document_lines", "documents", "document_years"):
        op.drop_table(table)
