# syntax=docker/dockerfile:1
# Postern's image: Alpine, its Node, the bundle. Nothing of the build gets into it.
#   docker build -t postern .
#   docker run -p 8787:8787 -v "$PWD/postern:/etc/postern:ro" postern
# Alpine 3.21 carries Node 22; --build-arg ALPINE=3.24 takes a newer release. test/image.test.ts and test/slow/image.slow.ts hold what is
# promised here: docs/platform-engineer.md.
ARG ALPINE=3.21

FROM alpine:${ALPINE} AS build
RUN apk add --no-cache nodejs npm
# Alpine 3.21 has npm 10, which package.json refuses (devEngines): before package.json is there, it can still install its successor.
RUN npm install --global --no-audit --no-fund npm@11
WORKDIR /build
COPY package.json package-lock.json ./
# Alpine's own Node builds: the pinned one of package.json is for glibc, and is not in the PATH of what follows.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY bin bin
COPY core core
COPY plugins plugins
COPY migrations migrations
COPY gateway.yaml LICENSE README.md ./
RUN node bin/build.js --no-types

FROM alpine:${ALPINE}
# What the gateway keeps (`usage` its journal) goes below the working directory: the one place where its user may write.
RUN apk add --no-cache nodejs ca-certificates tzdata && mkdir -p /var/lib/postern && chown 65534:65534 /var/lib/postern
COPY --from=build /build/dist /app
COPY --from=build /build/dist/gateway.yaml /etc/postern/gateway.yaml
# Reachable from outside the container; the admin listener stays inside.
ENV POSTERN_LISTEN=0.0.0.0:8787 NODE_ENV=production
USER 65534:65534
WORKDIR /var/lib/postern
VOLUME /var/lib/postern
EXPOSE 8787
# -Y off: BusyBox would ask the proxy that http_proxy names, and it knows no no_proxy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD wget -q -Y off -O /dev/null http://127.0.0.1:8788/healthz || exit 1
# No shell in between: signals reach Postern, which ends what is under way.
ENTRYPOINT ["node", "/app/bin/postern.js"]
CMD ["run", "--config", "/etc/postern/gateway.yaml"]
