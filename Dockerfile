# Fanlight in three stages: the web client, the binary, and an image that holds the binary and nothing else.
#
#   docker build -t fanlight .
#   docker run --rm --network host -v fanlight:/var/lib/fanlight fanlight
#
# Host networking, because each shard has media and WebTransport ports of its own. Docker's default seccomp profile
# forbids io_uring; the relay then uses its other backend (`fanlight check` says so). To allow it, run with a profile
# that adds io_uring_setup, io_uring_enter and io_uring_register.

FROM node:20-bookworm-slim AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts
COPY web ./
RUN npm run build

FROM rust:1.95-bookworm AS binary
# aws-lc and SQLite are compiled from source.
RUN apt-get update && apt-get install --yes --no-install-recommends cmake clang && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=web /src/web/dist web/dist
RUN cargo build --locked --release --package fanlight --bin fanlight \
    && mkdir -p /out/var/lib/fanlight /out/etc/fanlight \
    && cp target/release/fanlight /out/ \
    && cp systemd/fanlight.toml /out/etc/fanlight/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=binary /out/fanlight /usr/local/bin/fanlight
COPY --from=binary /out/etc/fanlight /etc/fanlight
COPY --from=binary --chown=nonroot:nonroot /out/var/lib/fanlight /var/lib/fanlight
USER nonroot
WORKDIR /var/lib/fanlight
VOLUME /var/lib/fanlight
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/fanlight"]
CMD ["run", "--config", "/etc/fanlight/fanlight.toml"]
