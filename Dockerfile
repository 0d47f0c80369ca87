# A static program and the certificates of the authorities, and nothing else: no shell, no root.
#   docker build --build-arg VERSION=v1.2.3 -t coderhook .
# and, as the repository itself is not copied, --build-arg COMMIT=$(git rev-parse HEAD)
# To build with exactly one image: --build-arg GOLANG=golang:1.26@sha256:…, which docker buildx imagetools inspect golang:1.26 prints.
ARG GOLANG=golang:1.26
FROM ${GOLANG} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /coderhook ./cmd/coderhook

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /coderhook /coderhook
USER 65532:65532
EXPOSE 8787
ENTRYPOINT ["/coderhook"]
CMD ["serve"]
