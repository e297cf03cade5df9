# One image for web, worker, clock, the acquirer and migrations; the command decides (see Procfile).
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Only what names the libraries, so that a change of the code does not install them again.
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

FROM python:3.13-slim
# Fonts for the PDFs of receipts in Chinese and Japanese (DOCUMENT_FONTS_DIR).
RUN apt-get update && apt-get install -y --no-install-recommends fonts-noto-cjk && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin settled
WORKDIR /app
COPY --from=build /venv /venv
COPY --chown=root:root . .
# The code belongs to root; what a process writes goes to /data and /tmp.
RUN chmod -R a+rX . && mkdir /data && chown settled /data && ln -s /data var \
    && /venv/bin/python -m compileall -q shop mock_acquirer deploy migrations wsgi.py && /venv/bin/python -m deploy.assets
USER 10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PORT=8000 ACQUIRER_PORT=9000 PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
EXPOSE 8000 9000
VOLUME /data
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "deploy/gunicorn.py", "wsgi:app"]
