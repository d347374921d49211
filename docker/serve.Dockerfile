# The endpoint's image: `kidu-serve` and nothing else. The bundle is mounted.
#
#   docker build --file docker/serve.Dockerfile --build-arg GIT_COMMIT="$(git rev-parse HEAD)" --tag kidu/serve .
#   docker run --rm --publish 127.0.0.1:8080:8080 --volume "$PWD/bundle:/bundle:ro" \
#     --read-only --cap-drop ALL --security-opt no-new-privileges kidu/serve
#
# docker/README.md says where else the base images are, and how the digests are renewed.
ARG REGISTRY=docker.io/library
ARG RUST_IMAGE=${REGISTRY}/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE_IMAGE=${REGISTRY}/debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM ${RUST_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# Writes the list of crates into the binary, where scanners of images find it.
RUN cargo install --locked cargo-auditable@0.7.7
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --package kidu-serve \
    && mkdir /out \
    && cp target/release/kidu-serve /out/

FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.source="https://github.com/kidu-ml/kidu" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin kidu
COPY --from=build /out/ /usr/local/bin/
COPY --chmod=755 docker/kidu-healthcheck /usr/local/bin/kidu-healthcheck
ENV KIDU_BUNDLE=/bundle \
    KIDU_HOST=0.0.0.0 \
    KIDU_PORT=8080
USER 1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["kidu-healthcheck", "/ready"]
ENTRYPOINT ["kidu-serve"]
