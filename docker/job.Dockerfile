# The job image: preparing, training and evaluating in SageMaker, the robustness test, and hosting.
#
#   docker buildx build --provenance=false --output type=docker --platform linux/amd64 --file docker/job.Dockerfile \
#     --build-arg GIT_COMMIT="$(git rev-parse HEAD)" --tag kidu/job .
#
# SageMaker takes one image in Docker's own format: no index, which attestations make of it, and no OCI manifest.
# docker/README.md says where else the base images are, and how the digests are renewed.
ARG REGISTRY=docker.io/library
ARG RUST_IMAGE=${REGISTRY}/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE_IMAGE=${REGISTRY}/debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM ${RUST_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# Writes the list of crates into the binaries, where scanners of images find it.
RUN cargo install --locked cargo-auditable@0.7.7
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --package kidu --package kidu-serve --package kidu-infra \
    && mkdir /out \
    && cp target/release/kidu target/release/kidu-serve target/release/kidu-infra /out/

FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.source="https://github.com/kidu-ml/kidu" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
COPY --chmod=755 docker/kidu-sagemaker /usr/local/bin/kidu-sagemaker
ENV KIDU_PROGRESS=plain
# No USER: SageMaker runs containers as root. It mounts /opt/ml/processing/output and the like at the start of a job, owned by
# root, and an owner that the image gave to /opt/ml does not reach them: another user cannot write its results.
# checkov:skip=CKV_DOCKER_3:SageMaker's mounts can be written by root only
WORKDIR /root
EXPOSE 8080
# A job ends by itself, and hosting is asked at /ping by SageMaker.
HEALTHCHECK NONE
ENTRYPOINT ["kidu-sagemaker"]
