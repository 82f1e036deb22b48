// What Flux' kustomize-controller does with the objects it is given, with its own library: `apply FILE` makes the cluster like the file,
// `diff FILE` says what has drifted (a server-side apply that is only tried), `delete FILE` prunes. A line is: object action.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: %s apply|diff|delete FILE", os.Args[0]))
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	fail(err)
	config.QPS, config.Burst = 1000, 1000
	http, err := rest.HTTPClientFor(config)
	fail(err)
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	fail(err)
	kube, err := client.New(config, client.Options{Mapper: mapper})
	fail(err)
	owner := ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}
	manager := ssa.NewResourceManager(kube, polling.NewStatusPoller(kube, mapper, polling.Options{}), owner)

	text, err := os.ReadFile(os.Args[2])
	fail(err)
	objects, err := utils.ReadObjects(strings.NewReader(string(text)))
	fail(err)
	fail(normalize.UnstructuredList(objects))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch os.Args[1] {
	case "apply":
		manager.SetOwnerLabels(objects, "shop", "flux-system")
		changes, err := manager.ApplyAllStaged(ctx, objects, ssa.DefaultApplyOptions())
		fail(err)
		tell(changes.Entries...)
	case "diff":
		manager.SetOwnerLabels(objects, "shop", "flux-system")
		for _, object := range objects {
			change, there, wanted, err := manager.Diff(ctx, object, ssa.DefaultDiffOptions())
			fail(err)
			tell(*change)
			if change.Action == ssa.ConfiguredAction {
				fmt.Fprintf(os.Stderr, "%s\nis: %v\nwanted: %v\n", change.Subject, there.Object, wanted.Object)
			}
		}
	case "delete":
		options := ssa.DefaultDeleteOptions()
		options.Inclusions = manager.GetOwnerLabels("shop", "flux-system")
		changes, err := manager.DeleteAll(ctx, objects, options)
		fail(err)
		tell(changes.Entries...)
		fail(manager.WaitForTermination(objects, ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: time.Minute}))
	default:
		fail(fmt.Errorf("unknown verb %s", os.Args[1]))
	}
}

func tell(entries ...ssa.ChangeSetEntry) {
	for _, entry := range entries {
		fmt.Println(entry.Subject, entry.Action)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
