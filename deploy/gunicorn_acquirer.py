"""How gunicorn serves the acquirer on its own port: one process with threads, for it delivers its webhooks itself."""

import os

bind = f"{os.environ.get('BIND_ADDRESS', '0.0.0.0')}:{os.environ.get('ACQUIRER_PORT', '9000')}"  # noqa: S104
workers = 1
worker_class = "gthread"
threads = int(os.environ.get("ACQUIRER_WEB_THREADS", "32"))  # a call with a timeout fault holds one for seconds
timeout = 30
keepalive = 5
graceful_timeout = 5
control_socket_disable = True  # two gunicorns of one user would share a single control socket
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108,PTH112 - heartbeats belong in memory
