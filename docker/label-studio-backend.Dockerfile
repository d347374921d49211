# Label Studio's ML backend: `kidu-label-studio`, which asks an endpoint and computes nothing itself.
#
#   docker build --file docker/label-studio-backend.Dockerfile --build-arg GIT_COMMIT="$(git rev-parse HEAD)" \
#     --tag kidu/label-studio-backend .
#
# A backend that also builds models (--train-after, --build-arg) needs `kidu` beside it:
#   docker build --file docker/label-studio-backend.Dockerfile --target builds --tag kidu/label-studio-builds .
#
# docker/README.md says where else the base images are, and how the digests are renewed.
ARG REGISTRY=docker.io/library
ARG RUST_IMAGE=${REGISTRY}/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE_IMAGE=${REGISTRY}/debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM ${RUST_IMAGE} AS source
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# Writes the list of crates into the binary, where scanners of images find it.
RUN cargo install --locked cargo-auditable@0.7.7
WORKDIR /src
COPY . .

FROM source AS backend
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --package kidu-label-studio \
    && mkdir /out \
    && cp target/release/kidu-label-studio /out/

FROM source AS command
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --package kidu \
    && mkdir /out \
    && cp target/release/kidu /out/

FROM ${BASE_IMAGE} AS runtime
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.source="https://github.com/kidu-ml/kidu" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin kidu \
    && mkdir /state \
    && chown kidu:kidu /state
COPY --from=backend /out/ /usr/local/bin/
COPY --chmod=755 docker/kidu-healthcheck /usr/local/bin/kidu-healthcheck
ENV KIDU_HOST=0.0.0.0 \
    KIDU_PORT=9090 \
    KIDU_STATE_DIR=/state
USER 1000
WORKDIR /state
VOLUME /state
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["kidu-healthcheck", "/health"]
ENTRYPOINT ["kidu-label-studio"]

FROM runtime AS builds
COPY --from=command /out/ /usr/local/bin/

# What is built unless a target is named.
FROM runtime
