// Two unmodified client-go programs in one: `watch` prints what typed informers see, `write` makes changes with typed clients and
// prints what the server answered. Both speak protobuf. A line is: kind event name resourceVersion.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
)

const last = "last" // the objects whose creation ends the watch: one of each kind, since their watches are two

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: %s watch|write NAMESPACE CHANGES", os.Args[0]))
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	fail(err)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(config)
	fail(err)
	changes, err := strconv.Atoi(os.Args[3])
	fail(err)
	if os.Args[1] == "watch" {
		watch(client, os.Args[2])
	} else {
		write(context.Background(), client, os.Args[2], changes)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func watch(client kubernetes.Interface, namespace string) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	out := bufio.NewWriter(os.Stdout)
	var lock sync.Mutex
	done := make(chan struct{})
	open := 2
	tell := func(kind, event string, object any) {
		lock.Lock()
		defer lock.Unlock()
		meta := object.(metav1.Object)
		fmt.Fprintln(out, kind, event, meta.GetName(), meta.GetResourceVersion())
		if meta.GetName() == last && event == "ADDED" {
			if open--; open == 0 {
				out.Flush()
				close(done)
			}
		}
	}
	follow := func(kind string, informer cache.SharedIndexInformer) cache.InformerSynced {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { tell(kind, "ADDED", object) },
			UpdateFunc: func(_, object any) { tell(kind, "MODIFIED", object) },
			DeleteFunc: func(object any) {
				if _, missed := object.(cache.DeletedFinalStateUnknown); missed {
					fail(fmt.Errorf("a deletion was missed"))
				}
				tell(kind, "DELETED", object)
			},
		})
		fail(err)
		return registration.HasSynced
	}
	deployments := follow("Deployment", factory.Apps().V1().Deployments().Informer())
	configMaps := follow("ConfigMap", factory.Core().V1().ConfigMaps().Informer())
	stop := make(chan struct{})
	factory.Start(stop)
	if !cache.WaitForCacheSync(stop, deployments, configMaps) {
		fail(fmt.Errorf("informers did not sync"))
	}
	lock.Lock()
	fmt.Fprintln(out, "synced")
	out.Flush()
	lock.Unlock()
	<-done
	close(stop)
}

// write makes as many changes as told: objects are made, updated, patched, scaled and deleted in turn.
func write(ctx context.Context, client kubernetes.Interface, namespace string, changes int) {
	deployments, configMaps := client.AppsV1().Deployments(namespace), client.CoreV1().ConfigMaps(namespace)
	told := func(kind, event string, object metav1.Object, err error) {
		fail(err)
		fmt.Println(kind, event, object.GetName(), object.GetResourceVersion())
	}
	for made, round := 0, 0; made < changes; made, round = made+8, round+1 {
		name := fmt.Sprintf("object-%d", round)
		configMap, err := configMaps.Create(ctx, configMapNamed(name), metav1.CreateOptions{})
		told("ConfigMap", "ADDED", configMap, err)
		deployment, err := deployments.Create(ctx, deploymentNamed(name), metav1.CreateOptions{})
		told("Deployment", "ADDED", deployment, err)
		if deployment.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			fail(fmt.Errorf("defaults are missing: %v", deployment.Spec.Template.Spec))
		}
		configMap.Data["round"] = "updated"
		configMap.BinaryData = map[string][]byte{"bytes": {0, 1, 255}}
		configMap, err = configMaps.Update(ctx, configMap, metav1.UpdateOptions{})
		told("ConfigMap", "MODIFIED", configMap, err)
		// a template has no controller here, but whoever writes it may meet ours
		fail(retry.RetryOnConflict(retry.DefaultRetry, func() error {
			current, err := deployments.Get(ctx, name, metav1.GetOptions{})
			fail(err)
			replicas := int32(3)
			current.Spec.Replicas = &replicas
			updated, err := deployments.Update(ctx, current, metav1.UpdateOptions{})
			if err == nil {
				told("Deployment", "MODIFIED", updated, nil)
			}
			return err
		}))
		patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:2"}]}}}}`)
		deployment, err = deployments.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		told("Deployment", "MODIFIED", deployment, err)
		if image := deployment.Spec.Template.Spec.Containers[0].Image; image != "nginx:2" {
			fail(fmt.Errorf("the patch was lost: %s", image))
		}
		deployment.Status.ReadyReplicas, deployment.Status.Replicas = 3, 3
		deployment, err = deployments.UpdateStatus(ctx, deployment, metav1.UpdateOptions{})
		told("Deployment", "MODIFIED", deployment, err)
		fail(configMaps.Delete(ctx, name, metav1.DeleteOptions{}))
		fmt.Println("ConfigMap DELETED", name, "-")
		fail(deployments.Delete(ctx, name, metav1.DeleteOptions{}))
		fmt.Println("Deployment DELETED", name, "-")
	}
	configMap, err := configMaps.Create(ctx, configMapNamed(last), metav1.CreateOptions{})
	told("ConfigMap", "ADDED", configMap, err)
	deployment, err := deployments.Create(ctx, deploymentNamed(last), metav1.CreateOptions{})
	told("Deployment", "ADDED", deployment, err)
}

func configMapNamed(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"round": "new"}}
}

func deploymentNamed(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx:1"}}},
			},
		},
	}
}
