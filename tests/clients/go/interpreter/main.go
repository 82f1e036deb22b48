// A resource interpreter webhook for ConfigMaps, written with Karmada's own library:
// interpreter ADDRESS CERTIFICATE KEY. It prints the address that it listens on.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	clientgo "k8s.io/client-go/kubernetes/scheme"

	config "github.com/karmada-io/karmada/pkg/apis/config/v1alpha1"
	work "github.com/karmada-io/karmada/pkg/apis/work/v1alpha2"
	"github.com/karmada-io/karmada/pkg/webhook/interpreter"
)

// workers reads a ConfigMap as a workload of data.workers pods; a member may set data.paused, and nobody has more than 8.
type workers struct {
	decoder *interpreter.Decoder
}

func (w *workers) InjectDecoder(decoder *interpreter.Decoder) { w.decoder = decoder }

func (w *workers) Handle(_ context.Context, request interpreter.Request) interpreter.Response {
	obj := &corev1.ConfigMap{}
	if err := w.decoder.Decode(request, obj); err != nil {
		return interpreter.Errored(http.StatusBadRequest, err)
	}
	count, err := strconv.Atoi(obj.Data["workers"])
	if err != nil || count > 8 {
		return interpreter.Errored(http.StatusUnprocessableEntity, fmt.Errorf("workers: %q", obj.Data["workers"]))
	}
	response := interpreter.Succeeded("")
	switch request.Operation {
	case config.InterpreterOperationInterpretReplica:
		replicas := int32(count)
		response.Replicas = &replicas
		response.ReplicaRequirements = &work.ReplicaRequirements{
			ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
		}
	case config.InterpreterOperationReviseReplica:
		obj.Data["workers"] = strconv.Itoa(int(*request.DesiredReplicas))
		return patched(request, obj)
	case config.InterpreterOperationRetain:
		observed := &corev1.ConfigMap{}
		if err := w.decoder.DecodeRaw(*request.ObservedObject, observed); err != nil {
			return interpreter.Errored(http.StatusBadRequest, err)
		}
		if paused, ok := observed.Data["paused"]; ok {
			obj.Data["paused"] = paused
		}
		return patched(request, obj)
	case config.InterpreterOperationInterpretStatus:
		response.RawStatus = &runtime.RawExtension{Raw: []byte(`{"workers":` + strconv.Itoa(count) + `}`)}
	case config.InterpreterOperationInterpretHealth:
		healthy := obj.Data["paused"] == ""
		response.Healthy = &healthy
	case config.InterpreterOperationInterpretDependency:
		response.Dependencies = []config.DependentObjectReference{
			{APIVersion: "v1", Kind: "Secret", Namespace: obj.Namespace, Name: "token"},
		}
	case config.InterpreterOperationAggregateStatus:
		return patched(request, obj) // nothing to change
	default:
		return interpreter.Errored(http.StatusBadRequest, fmt.Errorf("operation %s", request.Operation))
	}
	return response
}

func patched(request interpreter.Request, obj *corev1.ConfigMap) interpreter.Response {
	made, err := json.Marshal(obj)
	if err != nil {
		return interpreter.Errored(http.StatusInternalServerError, err)
	}
	return interpreter.PatchResponseFromRaw(request.Object.Raw, made)
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	hook := interpreter.NewWebhook(&workers{}, interpreter.NewDecoder(clientgo.Scheme))
	panic(http.ServeTLS(listener, hook, os.Args[2], os.Args[3]))
}
