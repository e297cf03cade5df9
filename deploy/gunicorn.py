"""How gunicorn serves the shop: few processes, each with thousands of open pages and streams in greenlets.

gunicorn reads this before gevent has patched the standard library. What is imported up here would keep the sleeps and
locks that block every greenlet, so libraries and the shop are imported in functions.
"""

import os
import sys

bind = f"{os.environ.get('BIND_ADDRESS', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"  # noqa: S104 - a server's job
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_class = "gevent"
worker_connections = 6000  # a hard cap: at it even /healthz waits, and every open order page holds one
timeout = 30
keepalive = 5
graceful_timeout = 10
control_socket_disable = True  # two gunicorns of one user would share a single control socket
accesslog = None  # the app logs one line per request, with the ids that matter
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108,PTH112 - heartbeats belong in memory


def child_exit(server, worker):
    """Gauges of a worker that is gone are not counted on."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def post_worker_init(worker):
    """PostgreSQL is waited for as greenlets do. Open streams would hold a worker until graceful_timeout: tell their hub
    as soon as the worker is asked to end.
    """
    import gevent

    from shop.core import greenlets

    greenlets.install()
    gevent.spawn(_close_streams_at_the_end, worker)


def _close_streams_at_the_end(worker):
    import gevent

    while worker.alive:
        gevent.sleep(0.1)
    hub = sys.modules.get("shop.live.hub")
    if hub:
        hub.close_all()
