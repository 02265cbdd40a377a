# Two images from one file: `collector` (node agent, sidecar, loader) and `full` (with the embedded ClickHouse).
#   docker build --target collector -t logproc:collector .
#   docker build --target full      -t logproc:full .
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY logproc logproc
COPY parsers parsers
COPY sinks sinks
# The lock file pins everything that can be installed; the project's own metadata says which part of it an image needs.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements.lock \
 && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .
RUN sed 's/ --hash.*//; s/ \\$//; /^ *--hash/d; /^ *#/d' requirements.lock > constraints.txt

FROM build AS build-collector
RUN python -m venv /opt/logproc && /opt/logproc/bin/pip install --constraint constraints.txt /wheels/*.whl

FROM build AS build-full
RUN python -m venv /opt/logproc && /opt/logproc/bin/pip install --constraint constraints.txt "$(echo /wheels/*.whl)[embedded]"

FROM python:${PYTHON} AS base
LABEL org.opencontainers.image.title="logproc" \
      org.opencontainers.image.description="Envoy and Istio access logs to typed columns in ClickHouse, every line exactly once" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/logproc/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --home-dir /var/lib/logproc --create-home logproc
# Log files under /var/log/pods belong to root with mode 0640: the DaemonSet sets its own user; everything else runs without rights.
USER 10001
WORKDIR /var/lib/logproc
STOPSIGNAL SIGTERM
ENTRYPOINT ["logproc"]
CMD ["--help"]

FROM base AS collector
COPY --from=build-collector /opt/logproc /opt/logproc

FROM base AS full
COPY --from=build-full /opt/logproc /opt/logproc
