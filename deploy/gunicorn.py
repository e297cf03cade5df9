"""gunicorn settings of the shop: few processes, each with thousands of open pages and streams in greenlets.

gunicorn reads this file before gevent has patched the standard library. A module imported at the top would keep the
sleeps and locks that block every greenlet, so libraries and the shop are imported in functions.
"""

import os
import sys

bind = f"{os.environ.get('BIND_ADDRESS', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"  # noqa: S104 - a server's job
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100,PTH120 - for deploy.*
worker_class = "deploy.guarded_workers.GuardedGeventWorker"
worker_connections = int(os.environ.get("WORKER_CONNECTIONS", "6000"))  # a hard limit: beyond it even /healthz waits
timeout = 30
keepalive = 5
graceful_timeout = 10
control_socket_disable = True  # two gunicorns of one user would share a single control socket
# No header sets SCRIPT_NAME or the scheme; the app itself trusts as many proxies as PROXY_HOPS says.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers = {}
accesslog = None  # the app logs one line per request, with its ids
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108,PTH112 - heartbeats belong in memory


def on_starting(server):
    """Remove the metric files of processes that no longer run: those of an earlier start of this server."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - see above: as few imports as possible
        for name in os.listdir(folder):  # noqa: PTH208
            stem, _, pid = name.removesuffix(".db").rpartition("_")
            if name.endswith(".db") and stem and pid.isdigit() and not _runs(int(pid)):
                os.unlink(os.path.join(folder, name))  # noqa: PTH108,PTH118


def _runs(pid):
    """True when another process with this id is alive. This process has no open metric file yet, so one with its id is
    stale.
    """
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def child_exit(server, worker):
    """Exclude the gauges of a worker that has ended."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def post_worker_init(worker):
    """Make PostgreSQL waits cooperative, and tell the event hub when the worker is asked to end: open streams would
    hold it
    until graceful_timeout.
    """
    import gevent

    from deploy.guarded_workers import SHARE_STREAMS, room
    from shop.core import greenlets

    greenlets.install()
    if hub := sys.modules.get("shop.live.hub"):
        hub.of(worker.wsgi).room = room(worker.cfg.worker_connections, SHARE_STREAMS)
    gevent.spawn(_close_streams_at_the_end, worker)


def _close_streams_at_the_end(worker):
    import gevent

    while worker.alive:
        gevent.sleep(0.1)
    hub = sys.modules.get("shop.live.hub")
    if hub:
        hub.close_all()
