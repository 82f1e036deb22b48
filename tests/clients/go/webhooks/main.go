// Webhooks written with controller-runtime's builders: of admission for ConfigMaps and Gadgets, and of conversion between two
// versions of Gadgets. webhooks PORT FOLDER (with tls.crt and tls.key).
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	hooks "sigs.k8s.io/controller-runtime/pkg/webhook/conversion"
)

// SpecV1 has the size as a text with a unit, SpecV2 as two fields.
type SpecV1 struct {
	Size string `json:"size,omitempty"`
}

type SpecV2 struct {
	Amount int    `json:"amount,omitempty"`
	Unit   string `json:"unit,omitempty"`
}

type GadgetV1 struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              SpecV1 `json:"spec,omitempty"`
}

type GadgetV2 struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              SpecV2 `json:"spec,omitempty"`
}

func (g *GadgetV1) DeepCopyObject() runtime.Object {
	out := *g
	out.ObjectMeta = *g.ObjectMeta.DeepCopy()
	return &out
}

func (g *GadgetV2) DeepCopyObject() runtime.Object {
	out := *g
	out.ObjectMeta = *g.ObjectMeta.DeepCopy()
	return &out
}

func (g *GadgetV2) Hub() {}

func (g *GadgetV1) ConvertTo(hub conversion.Hub) error {
	out := hub.(*GadgetV2)
	out.ObjectMeta = g.ObjectMeta
	digits := strings.TrimRight(g.Spec.Size, "abcdefghijklmnopqrstuvwxyz")
	amount, err := strconv.Atoi(digits)
	if err != nil {
		return fmt.Errorf("size %q has no amount", g.Spec.Size)
	}
	out.Spec = SpecV2{Amount: amount, Unit: g.Spec.Size[len(digits):]}
	return nil
}

func (g *GadgetV1) ConvertFrom(hub conversion.Hub) error {
	in := hub.(*GadgetV2)
	g.ObjectMeta = in.ObjectMeta
	g.Spec = SpecV1{Size: fmt.Sprintf("%d%s", in.Spec.Amount, in.Spec.Unit)}
	return nil
}

type configMaps struct{}

func (configMaps) Default(_ context.Context, found *corev1.ConfigMap) error {
	if found.Labels == nil {
		found.Labels = map[string]string{}
	}
	found.Labels["defaulted"] = "true"
	return nil
}

func (configMaps) ValidateCreate(_ context.Context, found *corev1.ConfigMap) (admission.Warnings, error) {
	if found.Data["forbidden"] != "" {
		return nil, fmt.Errorf("data.forbidden may not be set")
	}
	if found.Data["old"] != "" {
		return admission.Warnings{"data.old is deprecated"}, nil
	}
	return nil, nil
}

func (c configMaps) ValidateUpdate(ctx context.Context, _, found *corev1.ConfigMap) (admission.Warnings, error) {
	return c.ValidateCreate(ctx, found)
}

func (configMaps) ValidateDelete(_ context.Context, found *corev1.ConfigMap) (admission.Warnings, error) {
	if found.Data["keep"] != "" {
		return nil, fmt.Errorf("it is kept")
	}
	return nil, nil
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	group := schema.GroupVersion{Group: "example.com", Version: "v1"}
	scheme.AddKnownTypeWithName(group.WithKind("Gadget"), &GadgetV1{})
	group.Version = "v2"
	scheme.AddKnownTypeWithName(group.WithKind("Gadget"), &GadgetV2{})

	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: os.Args[2]})
	server.Register("/mutate", admission.WithDefaulter(scheme, configMaps{}))
	server.Register("/validate", admission.WithValidator(scheme, configMaps{}))
	server.Register("/convert", hooks.NewWebhookHandler(scheme, hooks.NewRegistry()))
	if err := server.Start(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
