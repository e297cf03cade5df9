"""Start of processes: imports open and write nothing, old files are removed, and two releases run in turn."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.postgres import PostgresServer
from tests.parts.processes import NOWHERE, ROOT, Processes
from tests.parts.selection import sampled
from tests.shop_fixtures import environ

GONE = 2**22 + 1
"""A process id above Linux's maximum."""


def test_importing_the_shop_opens_and_writes_nothing(tmp_path: Path, process: Processes) -> None:
    nowhere = tmp_path / "nothing"
    settings = environ(f"sqlite:///{nowhere}/data/shop.db", "") | {
        "PROMETHEUS_MULTIPROC_DIR": str(nowhere / "metrics"),
        "ACQUIRER_DATABASE_URL": f"sqlite:///{nowhere}/data/acquirer.db",
        "ACQUIRER_MOUNT": "true",
        "SETTLED_ENV": "development",
    }
    routes = process(["flask", "--app", "wsgi", "routes"], settings)
    assert routes.wait(within=60) == 0, routes.text
    assert not nowhere.exists()


def test_a_metric_without_labels_is_refused_because_it_would_open_its_file_at_import() -> None:
    from shop.core import metrics

    with pytest.raises(TypeError, match="needs a label"):
        metrics.Counter("settled_test", "Nothing")


@pytest.mark.full
def test_a_full_or_read_only_disk_for_metrics_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "from shop.core import metrics; metrics.REQUESTS.labels('x', '200').inc(); print('counted or not')"
    settings = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file" / "metrics")}
    done = subprocess.run([sys.executable, "-c", code], env=settings, cwd=ROOT, capture_output=True, text=True)
    assert "counted or not" in done.stdout, done.stderr


def test_the_start_of_the_web_server_clears_metric_files_of_ended_processes_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tmp_path / "metrics"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(metrics))
    server = runpy.run_path(str(ROOT / "deploy" / "gunicorn.py"))
    server["on_starting"](None)
    others = [f"counter_{os.getppid()}.db", "notes.txt", "notes.db"]
    for name in (f"counter_{GONE}.db", f"gauge_livesum_{GONE}.db", f"counter_{os.getpid()}.db", *others):
        (metrics / name).write_text("")
    server["on_starting"](None)
    assert {path.name for path in metrics.iterdir()} == set(others)


def test_a_worker_that_starts_clears_only_its_own_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shop.core import metrics

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for pid in (os.getpid(), GONE):
        (tmp_path / f"counter_{pid}.db").write_text("")
    metrics.begin()
    assert [path.name for path in tmp_path.iterdir()] == [f"counter_{GONE}.db"]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/shop.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create())


@pytest.mark.full
@pytest.mark.sample(2)
@pytest.mark.parametrize("what", ["deploy.release", "mock_acquirer"])
def test_releases_at_once_on_an_empty_database_all_succeed(what: str, empty_database: str, process: Processes) -> None:
    settings = environ(empty_database, "") | {"ACQUIRER_DATABASE_URL": empty_database, "SETTLED_ENV": "development"}
    settings |= {"ACQUIRER_PUBLIC_URL": NOWHERE}
    command = {
        "deploy.release": ["python", "-m", "deploy.release"],
        "mock_acquirer": ["flask", "--app", "mock_acquirer", "db", "upgrade"],
    }[what]
    releases = [process(command, settings) for _ in range(sampled(2, 4))]
    assert [(release.wait(within=90), release.text) for release in releases if release.wait(within=90)] == []
