# The pipeline and the `dexmatch` command, from requirements.lock, as a user without rights.
#
#   docker build -t dexmatch .
#   docker run dexmatch                                      # the demo, from drawing to pushing
#   docker run -u "$(id -u)" -v "$PWD:/project" dexmatch dexmatch run --data datasets/mine
#
# Any base will do that has Python 3.11 to 3.13 and glibc 2.39 or newer.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS built
ENV UV_LINK_MODE=copy UV_NO_CACHE=1
# pyfarmhash has no wheels.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml requirements.lock ./
COPY tools tools
RUN sh tools/runtime_lock.sh runtime.lock \
    && .tools/bin/uv venv --quiet --python python3 /opt/dexmatch \
    && .tools/bin/uv pip sync --quiet --python /opt/dexmatch --require-hashes --compile-bytecode \
        runtime.lock
COPY . .
RUN .tools/bin/uv build --quiet --wheel --out-dir /wheel

FROM ${BASE}
COPY --from=built /opt/dexmatch /opt/dexmatch
# A layer of its own: it is what changes.
RUN --mount=type=bind,from=built,source=/source/.tools,target=/uv \
    --mount=type=bind,from=built,source=/wheel,target=/wheel \
    /uv/bin/uv pip install --quiet --no-cache --link-mode copy --no-deps --compile-bytecode \
        --python /opt/dexmatch /wheel/*.whl \
    && useradd --create-home --uid 1000 dexmatch \
    && install --directory --owner dexmatch /project
ENV PATH=/opt/dexmatch/bin:$PATH
USER dexmatch
WORKDIR /project
CMD ["sh", "-c", "dexmatch data demo --overwrite && exec dexmatch run --config demo"]
