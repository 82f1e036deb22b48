// The official JavaScript client: objects, patches, a watch and an informer, in the namespace that is told. Any surprise ends it with 1.
import assert from 'node:assert/strict';
import * as k8s from '@kubernetes/client-node';

const namespace = process.argv[2];
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);

const seen = [];
let told = () => {};
const until = async (done) => {
  while (!done()) await new Promise((resolve) => { told = resolve; });
};
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`,
  () => core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js' }), 'app=js');
for (const event of ['add', 'update', 'delete'])
  informer.on(event, (object) => { seen.push(`${event} ${object.metadata.name}`); told(); });
informer.on('error', (error) => {
  if (error.name === 'AbortError') return; // ours, in the end
  console.error(error);
  process.exit(1);
});

const made = await core.createNamespacedConfigMap(
  { namespace, body: { metadata: { name: 'a', labels: { app: 'js' } }, data: { color: 'red' } } });
assert.ok(made.metadata.uid);
assert.ok(made.metadata.creationTimestamp instanceof Date);
await informer.start();
await until(() => seen.includes('add a'));

made.data.color = 'blue';
await core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made });
await assert.rejects(core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }), { code: 409 });
await until(() => seen.includes('update a'));
assert.equal(informer.get('a', namespace).data.color, 'blue');

const labels = { app: 'js' };
const deployment = await apps.createNamespacedDeployment({ namespace, body: {
  metadata: { name: 'web' },
  spec: { replicas: 1, selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx:1' }] } } } } });
assert.equal(deployment.spec.strategy.rollingUpdate.maxSurge, '25%');
const patched = await apps.patchNamespacedDeployment(
  { name: 'web', namespace, body: [{ op: 'replace', path: '/spec/replicas', value: 3 }] });
assert.equal(patched.spec.replicas, 3);
const merged = await apps.patchNamespacedDeployment(
  { name: 'web', namespace, body: { spec: { template: { spec: { containers: [{ name: 'web', image: 'nginx:2' }] } } } } },
  k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.StrategicMergePatch));
assert.equal(merged.spec.template.spec.containers[0].image, 'nginx:2');
const applied = await apps.patchNamespacedDeployment(
  { name: 'web', namespace, fieldManager: 'js', force: true,
    body: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 5 } } },
  k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.ServerSideApply));
assert.ok(applied.metadata.managedFields.some((field) => field.manager === 'js' && field.operation === 'Apply'));
const scale = await apps.readNamespacedDeploymentScale({ name: 'web', namespace });
assert.equal(scale.spec.replicas, 5);
await assert.rejects(apps.readNamespacedDeployment({ name: 'none', namespace }), { code: 404 });

const policy = { apiVersion: 'policy.karmada.io/v1alpha1', kind: 'PropagationPolicy', metadata: { name: 'web', namespace },
  spec: { resourceSelectors: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }], placement: {} } };
assert.equal((await objects.create(policy)).metadata.generation, 1);
assert.equal((await objects.read(policy)).spec.resourceSelectors[0].name, 'web');
await objects.delete(policy);

const watched = [];
const watching = await new k8s.Watch(config).watch(`/apis/apps/v1/namespaces/${namespace}/deployments`,
  { resourceVersion: applied.metadata.resourceVersion, allowWatchBookmarks: true },
  (type, object) => { watched.push(`${type} ${object.metadata.name}`); told(); }, () => told());
await apps.deleteNamespacedDeployment({ name: 'web', namespace });
await until(() => watched.includes('DELETED web'));
watching.abort();

const page = await core.listNamespacedConfigMap({ namespace, limit: 1 });
assert.equal(page.items.length, 1);
await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'app=js' });
await until(() => seen.includes('delete a'));
assert.deepEqual(seen, ['add a', 'update a', 'delete a']);
await informer.stop();
console.log('done');
