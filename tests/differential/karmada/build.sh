#!/usr/bin/env bash
# build.sh : builds the oracle, Karmada's own control plane, from its Go module and prints the folder that holds it:
#   bin/{controller-manager,scheduler,webhook,aggregated-apiserver,descheduler}, crds/ (its CustomResourceDefinitions), deploy/ (webhook configuration)
# The folder is ${XDG_CACHE_HOME:-~/.cache}/kafila/oracle-karmada<version>; what is there is not built again.
# Needs Go >= 1.26 on the PATH. About 10 minutes on 2 cores the first time.
set -euo pipefail

KARMADA=1.18.2 MODULE=github.com/karmada-io/karmada
PROGRAMS="controller-manager scheduler webhook aggregated-apiserver descheduler"
ROOT=${XDG_CACHE_HOME:-$HOME/.cache}/kafila/oracle-karmada$KARMADA

complete() { for program in $PROGRAMS; do [ -x "$ROOT/bin/$program" ] || return 1; done; [ -d "$ROOT/crds" ] && [ -d "$ROOT/deploy" ]; }
if complete; then echo "$ROOT"; exit; fi

mkdir -p "$ROOT/bin"
exec 9>"$ROOT/lock"
flock 9
WORK=$(mktemp -d "$ROOT/build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
export GOFLAGS="-mod=mod ${KAFILA_GOFLAGS:-}" GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=local

cd "$WORK"
printf 'module oracle\n\ngo 1.26.0\n\nrequire %s v%s\n' "$MODULE" "$KARMADA" >go.mod
{ printf '//go:build tools\n\npackage oracle\n\nimport (\n'; for program in $PROGRAMS; do printf '\t_ "%s/cmd/%s"\n' "$MODULE" "$program"; done; echo ')'; } >tools.go
go mod tidy -e >/dev/null 2>&1 || true  # some test dependencies are not published
for program in $PROGRAMS; do
  [ -x "$ROOT/bin/$program" ] && continue
  echo "build.sh: $program" >&2
  # without the tag the descheduler ends with a panic at its first question to an estimator
  go build -tags kubernetes_protomessage_one_more_release -o "$WORK/$program.out" "$MODULE/cmd/$program" 9>&-
  mv "$WORK/$program.out" "$ROOT/bin/$program"
done
source=$(go list -m -f '{{.Dir}}' "$MODULE")
rm -rf "$ROOT/crds" "$ROOT/deploy"
cp -r "$source/charts/karmada/_crds" "$WORK/crds"; cp -r "$source/artifacts/deploy" "$WORK/deploy"; chmod -R u+w "$WORK/crds" "$WORK/deploy"
mv "$WORK/crds" "$ROOT/crds"; mv "$WORK/deploy" "$ROOT/deploy"
echo "$ROOT"
