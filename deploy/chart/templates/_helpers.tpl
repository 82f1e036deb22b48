{{- define "kafila.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "kafila.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "kafila.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "kafila.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kafila.selector" -}}
app.kubernetes.io/name: {{ include "kafila.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kafila.labels" -}}
{{ include "kafila.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "kafila.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where clients reach the API. */}}
{{- define "kafila.serviceHost" -}}
{{ include "kafila.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "kafila.advertise" -}}
{{- $own := printf "%s:%v" (include "kafila.serviceHost" .) .Values.api.service.port -}}
{{- default $own .Values.api.advertise -}}
{{- end -}}

{{/* Of an address as 10.0.0.1:5443, [::1]:5443 or kafila.example.org. */}}
{{- define "kafila.advertiseHost" -}}
{{- include "kafila.advertise" . | regexFind "^(\\[[^]]*\\]|[^:]*)" | trimAll "[]" -}}
{{- end -}}

{{- define "kafila.serviceNames" -}}
{{- $name := include "kafila.fullname" . -}}
{{- list $name (printf "%s.%s" $name .Release.Namespace) (include "kafila.serviceHost" .) (printf "%s.%s" (include "kafila.serviceHost" .) .Values.clusterDomain) | join "," -}}
{{- end -}}

{{- define "kafila.hasTLS" -}}
{{- if or .Values.tls.existingSecret .Values.tls.certManager.enabled }}yes{{ end -}}
{{- end -}}

{{- define "kafila.tlsSecret" -}}
{{- default (printf "%s-tls" (include "kafila.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{/* The environment that every process has. The URL of the database is in the environment because others can read arguments. */}}
{{- define "kafila.env" -}}
- name: KAFILA_DATABASE_URL
  valueFrom:
    secretKeyRef:
      {{- if .Values.database.cloudNativePG.enabled }}
      name: {{ include "kafila.fullname" . }}-db-app
      key: uri
      {{- else }}
      name: {{ required "database.existingSecret.name: name a Secret with the URL of a PostgreSQL, or set database.cloudNativePG.enabled=true" .Values.database.existingSecret.name }}
      key: {{ .Values.database.existingSecret.key }}
      {{- end }}
- name: KAFILA_DATA_DIR
  value: /data
- name: KAFILA_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- if .Values.encryption.existingSecret.name }}
- name: KAFILA_ENCRYPTION_PROVIDER_CONFIG
  value: /etc/kafila/encryption/{{ .Values.encryption.existingSecret.key }}
- name: KAFILA_ENCRYPTION_PROVIDER_CONFIG_AUTOMATIC_RELOAD
  value: "true"
{{- end }}
{{- end -}}

{{- define "kafila.volumeMounts" -}}
- name: data
  mountPath: /data
- name: tmp
  mountPath: /tmp
{{- if .Values.encryption.existingSecret.name }}
- name: encryption
  mountPath: /etc/kafila/encryption
  readOnly: true
{{- end }}
{{- end -}}

{{/* data: kubeconfigs and certificates, issued anew at each start. */}}
{{- define "kafila.volumes" -}}
- name: data
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with .Values.encryption.existingSecret }}
{{- if .name }}
- name: encryption
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end -}}

{{- define "kafila.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kafila.securityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end -}}

{{/* A process is killed where its event loop stands still for two minutes; one that has lost its database is left alone. */}}
{{- define "kafila.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: https, scheme: HTTPS}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /livez, port: https, scheme: HTTPS}
  periodSeconds: 20
  timeoutSeconds: 15
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: https, scheme: HTTPS}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* Where pods run: of the values of a component (.own), and spread over nodes. */}}
{{- define "kafila.scheduling" -}}
{{- with .own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "kafila.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end -}}
