# Two images from one file:
#   docker build --target collector -t logproc:0.1.0 .          node agent, sidecar, loader; no embedded ClickHouse
#   docker build --target full      -t logproc:0.1.0-full .     everything: demo, serve, up, audit of embedded stores
# Everything that is installed is named in requirements.lock with its hash. Sizes: docs/sizing.md.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY deploy/image/requirements.py deploy/image/trim.py deploy/image/
# The environment that builds the wheel stays in this stage.
RUN python deploy/image/requirements.py --build requirements.lock > build.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r build.txt
COPY logproc logproc
COPY parsers parsers
COPY sinks sinks
RUN /opt/build/bin/python -m hatchling build -t wheel -d /wheels

FROM build AS build-collector
# For `logproc tail` over the Kubernetes API inside the image: --build-arg EXTRAS=kubernetes (100 MB).
ARG EXTRAS=""
RUN python deploy/image/requirements.py --extras "${EXTRAS}" requirements.lock > run.txt \
 && python -m venv --without-pip /opt/logproc \
 && /opt/build/bin/pip --python /opt/logproc/bin/python install --require-hashes -r run.txt \
 && /opt/build/bin/pip --python /opt/logproc/bin/python install --no-deps --no-index /wheels/*.whl \
 && python deploy/image/trim.py /opt/logproc

FROM build AS build-full
RUN python deploy/image/requirements.py --extras embedded,kubernetes requirements.lock > run.txt \
 && python -m venv --without-pip /opt/logproc \
 && /opt/build/bin/pip --python /opt/logproc/bin/python install --require-hashes -r run.txt \
 && /opt/build/bin/pip --python /opt/logproc/bin/python install --no-deps --no-index /wheels/*.whl \
 && python deploy/image/trim.py /opt/logproc

FROM python:${PYTHON} AS base
LABEL org.opencontainers.image.title="logproc" \
      org.opencontainers.image.description="Envoy and Istio access logs to typed columns in ClickHouse, every line exactly once" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/logproc/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --home-dir /var/lib/logproc --create-home logproc
# A number, so that runAsNonRoot can see that it is not root. Only the node agent runs as root, and says so itself: log files
# under /var/log/pods are 0640 root:root. It has no capability: the owner needs none.
USER 10001:10001
WORKDIR /var/lib/logproc
EXPOSE 9090
STOPSIGNAL SIGTERM
# Asks /healthz on 9090 (collect and load with --metrics-listen :9090) or /ping on 8123 (serve, up). Kubernetes has its own probes.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "logproc.healthcheck"]
ENTRYPOINT ["logproc"]
CMD ["--help"]

FROM base AS collector
COPY --from=build-collector /opt/logproc /opt/logproc

FROM base AS full
EXPOSE 8123
COPY --from=build-full /opt/logproc /opt/logproc
