"""The package: migrations, commands, tables."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade

from mock_acquirer import dialects, setting_rows
from mock_acquirer.db import Base, Moment, db
from mock_acquirer.plans import API, HOOK, PAY
from mock_acquirer.states import ENDED, OPEN, TRANSITIONS, sources_of
from tests.acquirer.conftest import World


def _same_type(*types: object) -> bool | None:
    return False if isinstance(types[-1], Moment) else None


def test_the_migrations_lead_to_the_tables_of_the_models_and_back(acquirer: World) -> None:
    with acquirer.app.app_context():
        with db.engine.connect() as connection:
            options = {"compare_type": _same_type}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
        downgrade(revision="base")
        upgrade()


def test_every_state_is_in_the_table_and_only_late_money_leaves_an_end() -> None:
    assert set(TRANSITIONS) == {*OPEN, *ENDED, "authorized"}
    assert {target for state in ENDED for target in TRANSITIONS[state]} == {"captured"}
    assert TRANSITIONS["failed"] == () and "failed" not in sources_of("captured")


def test_dialects_are_registered_automatically_with_their_settings() -> None:
    found = dialects.discover()
    assert "kpay" in found
    assert {row.name for row in found["kpay"].settings} <= {row.name for row in setting_rows()}
    assert found["kpay"].retries == (0, 5, 300, 1800, 7200, 18000, 36000, 36000) and found["kpay"].jitter == 0.2


def test_setting_names_are_unique_and_explained() -> None:
    rows = setting_rows()
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.meaning.endswith(".") for row in rows)


def test_the_manuals_faults_are_all_known() -> None:
    assert {"decline", "late_after_expiry", "double", "amount_delta", "wrong_currency"} <= set(PAY)
    hook = {"match", "drop", "delay", "duplicate", "parallel", "hold_until", "before_response", "reverse", "sign"}
    assert hook <= set(HOOK) and {"op", "do", "times"} <= set(API)


def test_the_clock_command_ends_at_once_when_it_is_asked_to(acquirer: World) -> None:
    import os
    import signal
    import threading

    wake = acquirer.app.extensions["acquirer.courier"].wake
    kept = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    result = acquirer.app.test_cli_runner().invoke(args=["clock"])
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), kept, strict=True):
        signal.signal(number, handler)
    assert result.exit_code == 0 and not wake.is_set()


def test_the_worker_command_explains_what_it_needs(acquirer: World) -> None:
    result = acquirer.app.test_cli_runner().invoke(args=["worker"])
    assert result.exit_code == 1 and "Set REDIS_URL" in result.output
