"""gunicorn settings of the acquirer on its own port: one process with threads, because it sends its
webhooks itself.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100,PTH120 - for deploy.*
bind = f"{os.environ.get('BIND_ADDRESS', '0.0.0.0')}:{os.environ.get('ACQUIRER_PORT', '9000')}"  # noqa: S104
workers = 1
worker_class = "deploy.guarded_workers.GuardedThreadWorker"
threads = int(os.environ.get("ACQUIRER_WEB_THREADS", "32"))  # a call with a timeout fault holds one for seconds
timeout = 30
keepalive = 5
graceful_timeout = 5
control_socket_disable = True  # two gunicorns of one user would share a single control socket
# No header sets SCRIPT_NAME or the scheme; the app trusts as many proxies as ACQUIRER_PROXY_HOPS says.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers = {}
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108,PTH112 - heartbeats belong in memory
