#!/bin/bash
# Builds kube-apiserver, etcd, kwok and Docker Compose's loader from the Go module proxy into the folder named by the first argument,
# with the description of OpenShift's SecurityContextConstraints. No git clone.
#
# Needs Go 1.26 and about 4 GB of disk for Go's caches. From empty caches it takes some minutes of both cores, later seconds.
set -euo pipefail
bin=$(realpath -m "$1")
here=$(realpath "$(dirname "$0")")
# kwok 0.8 wants k8s.io/* 0.36, which is Kubernetes 1.36: so one module can build all three.
kubernetes=1.36.3 kwok=0.8.0 etcd=3.6.8
# OpenShift tags no versions of its API: one of October 2025.
compose=2.16.2 openshift=0.0.0-20251015095338-264e80a2b6e7
versions="kubernetes $kubernetes, kwok $kwok, etcd $etcd, compose $compose, openshift $openshift"
export CGO_ENABLED=0 GOFLAGS="-p=2 -buildvcs=false -mod=mod"

mkdir -p "$bin"
# Two runs at once would take each other's files: the second one waits, and finds everything built.
exec 9>"$bin/.lock"
flock 9
[ "$(cat "$bin/versions" 2>/dev/null)" = "$versions" ] && exit 0
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

module() { # PATH@VERSION FIELD: one field of what `go mod download -json` says
	go mod download -json "$1" | sed -n "s/^\t\"$2\": \"\(.*\)\",\?$/\1/p"
}
kwok_module=$(module "sigs.k8s.io/kwok@v$kwok" Dir)
kubernetes_mod=$(module "k8s.io/kubernetes@v$kubernetes" GoMod)

# kwok follows a log for ever. A kubelet ends the follow when its runtime says that the container has exited, and runs the same
# code otherwise; here a file `<log>.exited` says so. It is changed in a copy, because the module cache is read-only.
cp -r "$kwok_module" kwok
chmod -R u+w kwok
logs=kwok/pkg/kwok/server/debugging_logs.go
sed -i \
	-e 's/runtimeServiceStub{}, stdout/runtimeServiceStub{log: logsFile}, stdout/' \
	-e '/^type runtimeServiceStub struct {$/a\	log string' \
	-e '/^func (runtimeServiceStub) ContainerStatus/{
		s/(runtimeServiceStub)/(stub runtimeServiceStub)/
		a\	if _, err := os.Stat(stub.log + ".exited"); err == nil {\n\t\texited := \&runtimeapi.ContainerStatus{State: runtimeapi.ContainerState_CONTAINER_EXITED}\n\t\treturn \&runtimeapi.ContainerStatusResponse{Status: exited}, nil\n\t}
	}' \
	-e 's/^\t"net\/http"$/&\n\t"os"/' "$logs"
[ "$(grep -c 'stub.log\|{log: logsFile}\|^	log string$\|^	"os"$' "$logs")" = 4 ] || {
	echo "error: kwok $kwok is not what the change to its log reader was written for" >&2
	exit 1
}

{
	printf 'module kube.test/bed\n\ngo 1.26.0\n\nrequire (\n'
	printf '\tk8s.io/kubernetes v%s\n\tsigs.k8s.io/kwok v%s\n\tgo.etcd.io/etcd/server/v3 v%s\n)\n\nreplace (\n' "$kubernetes" "$kwok" "$etcd"
	printf '\tsigs.k8s.io/kwok => ./kwok\n'
	sed -n "s|^\t\(k8s.io/[a-z-]*\) => ./staging.*|\t\1 => \1 v0.${kubernetes#1.}|p" "$kubernetes_mod"
	printf ')\n'
} >go.mod
cat >tools.go <<'GO'
//go:build tools

package bed

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
GO
go mod tidy >tidy.log 2>&1 || { cat tidy.log >&2; exit 1; }

build() { # NAME PACKAGE [LDFLAGS]
	local began=$SECONDS
	# Under another name first: what is there under its own is whole.
	nice go build -trimpath -ldflags "-s -w ${3:-}" -o "$bin/.$1" "$2"
	mv "$bin/.$1" "$bin/$1"
	echo "$1: $((SECONDS - began)) s"
}
version=k8s.io/component-base/version
minor=${kubernetes#*.}
build etcd go.etcd.io/etcd/server/v3
build kwok sigs.k8s.io/kwok/cmd/kwok
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver \
	"-X $version.gitVersion=v$kubernetes -X $version.gitMajor=${kubernetes%%.*} -X $version.gitMinor=${minor%%.*}"
install -m 644 "$kwok_module/kustomize/crd/bases/kwok.x-k8s.io_logs.yaml" "$bin/logs.crd.yaml"
constraints=payload-manifests/crds/0000_03_config-operator_01_securitycontextconstraints.crd.yaml
install -m 644 "$(module "github.com/openshift/api@v$openshift" Dir)/$constraints" "$bin/constraints.crd.yaml"

mkdir compose
cd compose
cp "$here/compose/main.go" .
printf 'module kube.test/compose\n\ngo 1.26.0\n\nrequire github.com/compose-spec/compose-go/v2 v%s\n' "$compose" >go.mod
go mod tidy >tidy.log 2>&1 || { cat tidy.log >&2; exit 1; }
build compose .
echo "$versions" >"$bin/versions"
