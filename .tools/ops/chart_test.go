package ops

import (
	"maps"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = root + "/testdata/ops/chart"

// minimal is what an operator has to say, and everything what they can.
const (
	minimal = `
config: {CODER_URL: https://coder.example.com}
`
	everything = `
replicas: 3
config:
  CODER_URL: https://coder.example.com
  SUPABASE_URL: https://abcdefghijklmnopqrst.supabase.co
  CORS_ORIGINS: https://app.example.com
  PROFILES_TABLE: public.people
  PROFILES_POLICY_COLUMNS: plan
  PROVISION_CONCURRENCY: 4
  KEY_IN_CLAIMS: false
  CHAIN_HOOK: public.custom_access_token_hook
  HTTPS_PROXY: http://proxy.example.com:3128
  OTEL_EXPORTER_OTLP_ENDPOINT: https://collector.observability.svc:4318
secret:
  files:
    GATEWAY_ROUTES: routes
    KEY_ENCRYPTION_KEYS: key-encryption-keys
    POLICY: policy.yaml
    CODER_HEADERS: coder-headers
    CODER_CA: coder-ca.crt
    CODER_CLIENT_CERT: coder-client.crt
    CODER_CLIENT_KEY: coder-client.key
    OTEL_EXPORTER_OTLP_HEADERS: otlp-headers
    OTEL_EXPORTER_OTLP_CERTIFICATE: otlp-ca.crt
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: otlp-client.crt
    OTEL_EXPORTER_OTLP_CLIENT_KEY: otlp-client.key
gateway: {enabled: true}
ingress: {enabled: true, className: nginx, host: hook.example.com, tlsSecret: hook-tls, annotations: {a: b}}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
networkPolicy: {hookFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: supabase}}}], egressPorts: [443]}
ownerToken: {volume: {storageClass: nfs}}
migrate: {args: [--lock-keys]}
imagePullSecrets: [{name: registry}]
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{key: a, operator: Exists}]
podAnnotations: {a: b}
`
	withoutExtras = `
replicas: 1
config: {CODER_URL: https://coder.example.com, LOG_LEVEL: debug}
frontEnd: {enabled: false}
migrate: {enabled: false}
networkPolicy: {enabled: false}
ownerToken: {volume: {enabled: false}}
tls: {secretName: hook-tls}
`
)

// cluster is what a chart makes, in the types of the API: a field that is not there fails.
type cluster struct {
	Deployments []apps.Deployment
	Jobs        []batch.Job
	Services    []core.Service
	Claims      []core.PersistentVolumeClaim
	Policies    []networking.NetworkPolicy
	Ingresses   []networking.Ingress
	Budgets     []policy.PodDisruptionBudget
	Monitors    []monitoring.ServiceMonitor
}

func (c *cluster) add(document []byte) error {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(document, &head); err != nil || head.Kind == "" {
		return err
	}
	switch head.APIVersion + " " + head.Kind {
	case "apps/v1 Deployment":
		return appendStrictly(&c.Deployments, document)
	case "batch/v1 Job":
		return appendStrictly(&c.Jobs, document)
	case "v1 Service":
		return appendStrictly(&c.Services, document)
	case "v1 PersistentVolumeClaim":
		return appendStrictly(&c.Claims, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		return appendStrictly(&c.Policies, document)
	case "networking.k8s.io/v1 Ingress":
		return appendStrictly(&c.Ingresses, document)
	case "policy/v1 PodDisruptionBudget":
		return appendStrictly(&c.Budgets, document)
	}
	return appendStrictly(&c.Monitors, document)
}

func appendStrictly[T any](to *[]T, document []byte) error {
	var object T
	err := yaml.UnmarshalStrict(document, &object)
	*to = append(*to, object)
	return err
}

func render(t *testing.T, values string) (cluster, error) {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	given := make(map[string]any)
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	var c cluster
	all, err := util.ToRenderValues(chart, given, common.ReleaseOptions{Name: "live", Namespace: "auth", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return c, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			if err := c.add([]byte(document)); err != nil && strings.HasSuffix(name, ".yaml") {
				t.Errorf("%s: %v\n%s", name, err, document)
			}
		}
	}
	return c, nil
}

func TestChartPassesHelmsLint(t *testing.T) {
	for name, values := range map[string]string{"minimal": minimal, "everything": everything, "without extras": withoutExtras} {
		given := make(map[string]any)
		if err := yaml.Unmarshal([]byte(values), &given); err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.RunAll(chartDir, given, "auth").Messages {
			if !strings.Contains(message.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// Whatever is chosen, each object is of the API, and what one names of another is there.
func TestChartIsConsistent(t *testing.T) {
	for name, values := range map[string]string{"minimal": minimal, "everything": everything, "without extras": withoutExtras} {
		t.Run(name, func(t *testing.T) {
			c, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			pod := c.Deployments[0].Spec.Template
			server := pod.Spec.Containers[0]
			ports := make(map[string]bool)
			for _, port := range server.Ports {
				ports[port.Name] = true
			}
			services := make(map[string][]string)
			for _, s := range c.Services {
				if !maps.Equal(s.Spec.Selector, c.Deployments[0].Spec.Selector.MatchLabels) {
					t.Errorf("service %s selects other pods", s.Name)
				}
				for _, port := range s.Spec.Ports {
					services[s.Name] = append(services[s.Name], port.Name)
					if !ports[port.TargetPort.StrVal] {
						t.Errorf("service %s has a port %s that the server has not", s.Name, port.TargetPort.StrVal)
					}
				}
			}
			for _, p := range c.Policies {
				for _, rule := range p.Spec.Ingress {
					for _, port := range rule.Ports {
						if !ports[port.Port.StrVal] {
							t.Errorf("the policy lets somebody in at %s", port.Port.StrVal)
						}
					}
				}
			}
			for _, i := range c.Ingresses {
				for _, path := range i.Spec.Rules[0].HTTP.Paths {
					if to := path.Backend.Service; !slices.Contains(services[to.Name], to.Port.Name) {
						t.Errorf("%s leads to %s of %s", path.Path, to.Port.Name, to.Name)
					}
				}
			}
			claims := make(map[string]bool)
			for _, claim := range c.Claims {
				claims[claim.Name] = true
			}
			pods := []core.PodSpec{pod.Spec}
			for _, job := range c.Jobs {
				pods = append(pods, job.Spec.Template.Spec)
			}
			for _, spec := range pods {
				checkPod(t, spec, claims)
			}
			mustStart(t, serverVariables(server, values))
		})
	}
}

// checkPod sees that mounts have volumes, that no secret is among the variables, and that there are no rights to spare.
func checkPod(t *testing.T, spec core.PodSpec, claims map[string]bool) {
	t.Helper()
	volumes := make(map[string]bool)
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
		if v.PersistentVolumeClaim != nil && !claims[v.PersistentVolumeClaim.ClaimName] {
			t.Errorf("there is no claim %s", v.PersistentVolumeClaim.ClaimName)
		}
	}
	if s := spec.SecurityContext; !*s.RunAsNonRoot || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || *spec.AutomountServiceAccountToken {
		t.Error("the pod may be root, call everything, or has a token of the cluster's")
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("%s mounts %s, which is no volume", container.Name, mount.Name)
			}
			if mount.ReadOnly == (mount.Name == "state") {
				t.Errorf("%s can write %s: %t", container.Name, mount.Name, !mount.ReadOnly)
			}
		}
		for _, variable := range container.Env {
			if variable.ValueFrom != nil {
				t.Errorf("%s has %s from elsewhere; secrets are files", container.Name, variable.Name)
			}
		}
		if s := container.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s has rights that it does not need", container.Name)
		}
		if container.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s may take all memory", container.Name)
		}
	}
}

// serverVariables are the container's. Its certificate is left out: there is none here.
func serverVariables(server core.Container, values string) map[string]string {
	variables := make(map[string]string)
	for _, variable := range server.Env {
		if !strings.HasPrefix(variable.Name, "TLS_") || !strings.Contains(values, "tls:") {
			variables[variable.Name] = variable.Value
		}
	}
	return variables
}

func TestChartRunsAsAProductNeedsIt(t *testing.T) {
	c, err := render(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	d := c.Deployments[0]
	if *d.Spec.Replicas != 2 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntVal != 0 || len(c.Budgets) != 1 {
		t.Error("a node, a drain or an update can take all replicas")
	}
	if server := d.Spec.Template.Spec.Containers[0]; server.ReadinessProbe.HTTPGet.Path != "/healthz" || *d.Spec.Template.Spec.TerminationGracePeriodSeconds < 50 {
		t.Error("without the database no pod would be ready, or what is made is not stored")
	}
	job := c.Jobs[0]
	if job.Annotations["helm.sh/hook"] != "pre-install,pre-upgrade" || !slices.Equal(job.Spec.Template.Spec.Containers[0].Args, []string{"migrate"}) {
		t.Errorf("the migration is %v, at %s", job.Spec.Template.Spec.Containers[0].Args, job.Annotations["helm.sh/hook"])
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if key == "app.kubernetes.io/component" && job.Spec.Template.Labels[key] == value {
			t.Error("the services send requests to the migration")
		}
	}
	admin := c.Policies[0].Spec.Ingress[len(c.Policies[0].Spec.Ingress)-1]
	if admin.Ports[0].Port.StrVal != "admin" || len(admin.From) == 0 {
		t.Error("everybody in the cluster reads metrics and profiles")
	}
}

// What a variable names is in the pod, and what it leads to is let out of it.
func TestChartBringsFilesAndOpensPorts(t *testing.T) {
	c, err := render(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	pod := c.Deployments[0].Spec.Template.Spec
	mounted := make(map[string]bool)
	for _, volume := range pod.Volumes {
		if volume.Name == "secrets" {
			for _, item := range volume.Secret.Items {
				mounted["/etc/coderhook/"+item.Path] = true
			}
		}
	}
	named := 0
	for _, variable := range pod.Containers[0].Env {
		if strings.HasPrefix(variable.Value, "/etc/coderhook/") {
			named++
			if !mounted[variable.Value] {
				t.Errorf("%s names %s, which is not mounted", variable.Name, variable.Value)
			}
		}
	}
	if named != 14 || len(mounted) != 14 {
		t.Errorf("%d variables name %d files", named, len(mounted))
	}
	var out []string
	for _, port := range c.Policies[0].Spec.Egress[1].Ports {
		out = append(out, port.Port.String())
	}
	if !slices.Equal(out, []string{"3128", "4318", "443"}) {
		t.Errorf("it may call the ports %v", out)
	}
}

// The migration gives rights on the table and the columns that the server is told of.
func TestChartMigratesWhatTheServerReads(t *testing.T) {
	c, err := render(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	migration := make(map[string]string)
	for _, variable := range c.Jobs[0].Spec.Template.Spec.Containers[0].Env {
		migration[variable.Name] = variable.Value
	}
	for _, variable := range c.Deployments[0].Spec.Template.Spec.Containers[0].Env {
		if strings.HasPrefix(variable.Name, "PROFILES_") && migration[variable.Name] != variable.Value {
			t.Errorf("%s is %q for the migration, and %q for the server", variable.Name, migration[variable.Name], variable.Value)
		}
	}
}

func TestChartSaysWhatIsWrong(t *testing.T) {
	for values, want := range map[string]string{
		``:                              "config.CODER_URL has to be set",
		minimal + `replica: 3`:          "replica",
		minimal + `replicas: 0`:         "replicas",
		`config: {coder_url: x}`:        "coder_url",
		minimal + `gateway: {on: true}`: "on",
		minimal + `networkPolicy: {metricsFrom: []}`:            "metricsFrom",
		`config: {CODER_URL: x, KEY_ENCRYPTION_KEYS: x}`:        "put it into the Secret, and its key there into secret.files.KEY_ENCRYPTION_KEYS",
		`config: {CODER_URL: x, OTEL_EXPORTER_OTLP_HEADERS: x}`: "config.OTEL_EXPORTER_OTLP_HEADERS is a secret",
		`config: {CODER_URL: x, CODER_OWNER_TOKEN: x}`:          "by ownerToken",
		`config: {CODER_URL: x, POLICY_FILE: /p.yaml}`:          "names a file that is not in the pod",
		`config: {CODER_URL: x, LISTEN_ADDR: ":9000"}`:          "config.LISTEN_ADDR can't be set",
		`config: {CODER_URL: x, GATEWAY: "on"}`:                 "by gateway.enabled",
	} {
		if _, err := render(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", values, err)
		}
	}
}
