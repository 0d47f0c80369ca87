{{- define "coderhook.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "coderhook.selector" -}}
app.kubernetes.io/name: coderhook
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "coderhook.labels" -}}
app.kubernetes.io/name: coderhook
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "coderhook.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "coderhook.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "coderhook.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "coderhook.probe" -}}
httpGet:
  path: /healthz
  port: hook
  {{- if .Values.tls.secretName }}
  scheme: HTTPS
  {{- end }}
{{- end }}

{{/* A variable that would not do what was meant ends the installation, and not the pods. */}}
{{- define "coderhook.check" -}}
{{- $chart := dict "LISTEN_ADDR" "the chart's own port, 8787" "ADMIN_ADDR" "the chart's own port, 8788" "FRONTEND_ADDR" "frontEnd.enabled" "GATEWAY" "gateway.enabled" "GATEWAY_ADDR" "gateway.enabled" "GATEWAY_PREFIX" "gateway.prefix" "TLS_CERT_FILE" "tls.secretName" "TLS_KEY_FILE" "tls.secretName" "CODER_OWNER_TOKEN" "ownerToken" "CODER_OWNER_TOKEN_FILE" "ownerToken" }}
{{- $secrets := list "DATABASE_URL" "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS" "LEDGER_SECRET" "KEY_ENCRYPTION_KEYS" "CODER_HEADERS" "SUPABASE_JWT_SECRET" "OTEL_EXPORTER_OTLP_HEADERS" "OTEL_EXPORTER_OTLP_TRACES_HEADERS" }}
{{- range $variable, $_ := .Values.config }}
{{- if hasKey $chart $variable }}
{{- fail (printf "config.%s can't be set: services, probes and policies go by %s" $variable (get $chart $variable)) }}
{{- else if has $variable $secrets }}
{{- fail (printf "config.%s is a secret, and would be in Helm's history: put it into the Secret, and its key there into secret.files.%s" $variable $variable) }}
{{- else if hasSuffix "_FILE" $variable }}
{{- fail (printf "config.%s names a file that is not in the pod: put it into the Secret, and its key there into secret.files.%s" $variable (trimSuffix "_FILE" $variable)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variable that names the file: OpenTelemetry's certificates have no other form. */}}
{{- define "coderhook.fileVariable" -}}
{{ if regexMatch "^OTEL_EXPORTER_OTLP_.*(CERTIFICATE|CLIENT_KEY)$" . }}{{ . }}{{ else }}{{ . }}_FILE{{ end }}
{{- end }}

{{/* networkPolicy.egressPorts, and those in the addresses of config. */}}
{{- define "coderhook.egressPorts" -}}
{{- $ports := list }}
{{- range .Values.networkPolicy.egressPorts }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- range pick .Values.config "CODER_URL" "SUPABASE_URL" "HTTP_PROXY" "HTTPS_PROXY" "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" }}
{{- $url := urlParse (toString .) }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $ports = append $ports (int (default (eq $url.scheme "http" | ternary "80" "443") $port)) }}
{{- end }}
{{- $ports | uniq | sortAlpha | toJson }}
{{- end }}
