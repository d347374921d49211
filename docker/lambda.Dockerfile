# The function's image: the runtime and nothing else. The model comes from MODEL_S3_URI.
#
#   docker buildx build --provenance=false --output type=docker --platform linux/amd64 --file docker/lambda.Dockerfile \
#     --tag kidu/lambda .
#
# Lambda takes one image: no index, which attestations make of it. A function on arm64 wants --platform linux/arm64.
#
# docker/README.md says how the digests are renewed. The builder is Amazon Linux 2023 too, so that the binary finds the C
# library it was made for.
ARG BASE_IMAGE=public.ecr.aws/lambda/provided:al2023@sha256:c6a2e7cb103884b785ebce3ce826c7cfd68e9843d8d5e6773a53e902ced83a19
ARG BUILD_IMAGE=public.ecr.aws/amazonlinux/amazonlinux:2023@sha256:12052e9b5d3fd85769abbdd863dd038e1890c9ace31d5fdbe1afa78eda97d061

FROM ${BUILD_IMAGE} AS build
# hadolint ignore=DL3041
RUN dnf install --assumeyes gcc tar gzip \
    && dnf clean all
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PATH=/root/.cargo/bin:$PATH
RUN curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs \
    | sh -s -- -y --profile minimal --default-toolchain none
WORKDIR /src
# The toolchain that the file names, and what writes the list of crates into the binary for scanners of images.
COPY rust-toolchain.toml .
RUN cargo install --locked cargo-auditable@0.7.7
COPY . .
RUN --mount=type=cache,target=/root/.cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --package kidu-lambda \
    && cp target/release/bootstrap /bootstrap

FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL org.opencontainers.image.source="https://github.com/kidu-ml/kidu" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build --chmod=755 /bootstrap /var/runtime/bootstrap
# Lambda runs images as a user of its own without rights; this is for everywhere else.
USER 1000
# Lambda asks nothing of the kind.
HEALTHCHECK NONE
CMD ["kidu"]
