module coderhook

go 1.26.0

// Each with what it is for: a test holds that.
require (
	cel.dev/cel-go v0.33.2 // conditions of POLICY_FILE, with a bounded cost
	github.com/MicahParks/jwkset v0.11.4 // reads JSON Web Keys of each kind, one at a time
	github.com/alecthomas/kong v1.17.0 // the command line, as a struct
	github.com/cenkalti/backoff/v5 v5.0.3 // waits between tries, for calls to Coder and for traces
	github.com/coder/websocket v1.8.15 // the gateway's WebSockets, with close codes and limits of our own
	github.com/exaring/otelpgx v0.13.0 // spans of SQL, without arguments
	github.com/fergusstrange/embedded-postgres v1.34.0 // tests: a PostgreSQL where none is installed
	github.com/go-json-experiment/json v1.27.2 // the claims, byte for byte: what Go has as encoding/json/v2 from 1.27 on
	github.com/golang-jwt/jwt/v5 v5.3.1 // access tokens, each key with one algorithm
	github.com/google/go-cmp v0.7.0 // tests: differences that can be read
	github.com/google/uuid v1.6.0 // users' ids
	github.com/jackc/pgx/v5 v5.12.0 // PostgreSQL, given by the product
	github.com/labstack/echo/v4 v4.16.0 // routes, given by the product
	github.com/mattn/go-isatty v0.0.24 // whether the log goes to a terminal
	github.com/prometheus/client_golang v1.25.0 // metrics
	github.com/rs/zerolog v1.35.1 // the log, given by the product
	github.com/schollz/progressbar/v3 v3.19.1 // how far a run is, on a terminal
	github.com/sony/gobreaker/v2 v2.4.0 // nobody waits for a Coder that is down
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1 // the hook's signatures, given by the product
	go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp v0.72.0 // spans of requests, ours and Coder's
	go.opentelemetry.io/otel v1.47.0 // traces, and their way through headers (W3C)
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.47.0 // spans as OTLP has them; the sending is ours, as otlptracehttp links gRPC
	go.opentelemetry.io/otel/exporters/stdout/stdouttrace v1.47.0 // traces on the console
	go.opentelemetry.io/otel/sdk v1.47.0 // sampler, batches and resource of traces
	go.opentelemetry.io/otel/trace v1.47.0 // spans of our own
	go.opentelemetry.io/proto/otlp v1.11.0 // what is sent to a collector; of it only the messages
	go.uber.org/goleak v1.3.0 // tests: nothing runs on
	go.yaml.in/yaml/v3 v3.0.6 // POLICY_FILE, with the line of each fault
	golang.org/x/net v0.62.0 // HTTP/2 limits, and names under public suffixes
	golang.org/x/sync v0.24.0 // one flight for many callers
	golang.org/x/sys v0.49.0 // the kernel's queue of connections, and users that tests run PostgreSQL as
	golang.org/x/time v0.16.0 // limits of rate
	google.golang.org/protobuf v1.36.12 // OTLP's encoding; the metrics need it as well
	pgregory.net/rapid v1.3.0 // tests: properties of random histories
)

require (
	cel.dev/expr v0.25.2 // indirect
	github.com/antlr4-go/antlr/v4 v4.13.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/felixge/httpsnoop v1.1.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/labstack/gommon v0.5.0 // indirect
	github.com/lib/pq v1.10.9 // indirect
	github.com/mattn/go-colorable v0.1.15 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasttemplate v1.2.2 // indirect
	github.com/xi2/xz v0.0.0-20171230120015-48954b6210f8 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/exp v0.0.0-20240823005443-9b4947da3948 // indirect
	golang.org/x/term v0.47.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260720211330-0afa2a65878a // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260720211330-0afa2a65878a // indirect
)
