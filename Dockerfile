# syntax=docker/dockerfile:1
# Two stages: the first installs from the hash-locked list, the second holds only what runs.
# Runs with a read-only root file system: all that is written lies in the volume and in /tmp.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/cohortlink
COPY requirements.lock pyproject.toml README.md ./
RUN /opt/cohortlink/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY app/ app/
COPY linkage/ linkage/
COPY crypto/ crypto/
COPY migrations/ migrations/
RUN /opt/cohortlink/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/cohortlink --create-home cohortlink \
    && mkdir -m 0700 /var/lib/cohortlink/keys \
    && chown cohortlink: /var/lib/cohortlink/keys
COPY --from=build /opt/cohortlink /opt/cohortlink
ENV PATH=/opt/cohortlink/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    COHORTLINK_DATA=/var/lib/cohortlink
USER 10001
VOLUME /var/lib/cohortlink
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["cohortlink", "serve", "--host", "0.0.0.0", "--port", "8000"]
