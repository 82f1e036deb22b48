// What Karmada 1.18.2 itself answers: reads requests as JSON lines, writes an answer for each.
//
// Build it inside a copy of the module github.com/karmada-io/karmada@v1.18.2, as cmd/oracle:
//
//	GOFLAGS=-mod=mod go build -o oracle ./cmd/oracle
//
// generate.py asks it and writes ../karmada_answers.jsonl.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	clusterv1alpha1 "github.com/karmada-io/karmada/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "github.com/karmada-io/karmada/pkg/apis/policy/v1alpha1"
	workv1alpha2 "github.com/karmada-io/karmada/pkg/apis/work/v1alpha2"
	clusterlister "github.com/karmada-io/karmada/pkg/generated/listers/cluster/v1alpha1"
	"github.com/karmada-io/karmada/pkg/resourceinterpreter/default/native"
	"github.com/karmada-io/karmada/pkg/resourceinterpreter/default/native/prune"
	schedulercache "github.com/karmada-io/karmada/pkg/scheduler/cache"
	"github.com/karmada-io/karmada/pkg/scheduler/core"
	frameworkplugins "github.com/karmada-io/karmada/pkg/scheduler/framework/plugins"
	"github.com/karmada-io/karmada/pkg/util/gclient"
	"github.com/karmada-io/karmada/pkg/util/overridemanager"
)

type request struct {
	Op       string
	Spec     workv1alpha2.ResourceBindingSpec
	Status   workv1alpha2.ResourceBindingStatus
	Clusters []clusterv1alpha1.Cluster
	Object   map[string]any
	Items    []workv1alpha2.AggregatedStatusItem
	Cluster  clusterv1alpha1.Cluster
	COPs     []policyv1alpha1.ClusterOverridePolicy
	OPs      []policyv1alpha1.OverridePolicy
}

type lister struct {
	clusterlister.ClusterLister
	items []clusterv1alpha1.Cluster
}

func (l lister) List(_ labels.Selector) ([]*clusterv1alpha1.Cluster, error) {
	var out []*clusterv1alpha1.Cluster
	for i := range l.items {
		out = append(out, &l.items[i])
	}
	return out, nil
}

func schedule(r *request) map[string]any {
	text, _ := json.Marshal(r.Spec.Placement)
	c := schedulercache.NewCache(lister{items: r.Clusters}, cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}), 0)
	a, err := core.NewGenericScheduler(c, frameworkplugins.NewInTreeRegistry())
	if err != nil {
		panic(err)
	}
	res, err := a.Schedule(context.TODO(), &r.Spec, &r.Status, &core.ScheduleAlgorithmOption{})
	out := map[string]any{"placement": string(text), "clusters": res.SuggestedClusters}
	if err != nil {
		out["error"] = err.Error()
	}
	return out
}

func fail(err error) map[string]any { return map[string]any{"error": err.Error()} }

func override(r *request) map[string]any {
	objs := []client.Object{&r.Cluster}
	for i := range r.COPs {
		objs = append(objs, &r.COPs[i])
	}
	for i := range r.OPs {
		objs = append(objs, &r.OPs[i])
	}
	cl := fake.NewClientBuilder().WithScheme(gclient.NewSchema()).WithObjects(objs...).Build()
	m := overridemanager.New(cl, &record.FakeRecorder{})
	u := &unstructured.Unstructured{Object: r.Object}
	a, b, err := m.ApplyOverridePolicies(u, r.Cluster.Name)
	if err != nil {
		return fail(err)
	}
	out := map[string]any{"object": u.Object}
	if a != nil {
		t, _ := a.MarshalJSON()
		out["cops"] = string(t)
	}
	if b != nil {
		t, _ := b.MarshalJSON()
		out["ops"] = string(t)
	}
	return out
}

func main() {
	n := native.NewDefaultInterpreter()
	in := bufio.NewReaderSize(os.Stdin, 1<<22)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		r := &request{}
		if err := json.Unmarshal(line, r); err != nil {
			panic(fmt.Sprint(err, string(line)))
		}
		u := &unstructured.Unstructured{}
		if r.Object != nil {
			raw, _ := json.Marshal(r.Object)
			u.Object = nil
			if err := u.UnmarshalJSON(raw); err != nil {
				panic(err)
			}
			r.Object = u.Object
		}
		var out map[string]any
		switch r.Op {
		case "schedule":
			out = schedule(r)
		case "override":
			out = override(r)
		case "prune":
			if err := prune.RemoveIrrelevantFields(u, prune.RemoveJobTTLSeconds); err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"object": u.Object}
			}
		case "replicas":
			c, q, err := n.GetReplicas(u)
			if err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"replicas": c, "requirements": q}
			}
		case "aggregate":
			x, err := n.AggregateStatus(u, r.Items)
			if err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"status": x.Object["status"]}
			}
		case "reflect":
			x, err := n.ReflectStatus(u)
			if err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"status": x}
			}
		case "health":
			x, err := n.InterpretHealth(u)
			if err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"healthy": x}
			}
		case "dependencies":
			x, err := n.GetDependencies(u)
			if err != nil {
				out = fail(err)
			} else {
				out = map[string]any{"dependencies": x}
			}
		}
		b, _ := json.Marshal(out)
		w.Write(b)
		w.WriteByte('\n')
		w.Flush()
	}
}
