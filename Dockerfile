# Two stages: the first builds the wheel and a virtual environment from the hash locks, the second only runs it.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /opt/patrolgrid && python -m venv /opt/build \
    && /opt/patrolgrid/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r requirements.txt \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY devices devices
COPY detectors detectors
COPY alerts alerts
COPY store store
COPY ingest ingest
COPY simulators simulators
COPY console console
COPY server server
RUN /opt/build/bin/python -m hatchling build -t wheel -d /wheel \
    && /opt/patrolgrid/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin patrolgrid
COPY --from=build /opt/patrolgrid /opt/patrolgrid
COPY examples /srv/patrolgrid/examples
RUN install -d -o 10001 -m 700 /srv/patrolgrid/media /srv/patrolgrid/keys
ENV PATH=/opt/patrolgrid/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/patrolgrid
USER 10001
ENTRYPOINT ["patrolgrid"]
CMD ["--help"]
