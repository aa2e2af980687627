// The Kubernetes manifests: complete, consistent with each other and with what the server offers.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";
import {executable, load, source, startServer} from "./server.mjs";

const YAML = load("yaml");
const folder = path.join(source, "deploy/kubernetes");
const read = (file) => YAML.parseAllDocuments(readFileSync(path.join(folder, file), "utf8"), {strict: true, uniqueKeys: true});

const objects = {};
for (const file of readdirSync(folder)) {
  for (const document of read(file)) {
    assert.deepEqual(document.errors, [], file);
    const object = document.toJS();
    assert.ok(object.apiVersion && object.kind, file);
    assert.ok(!(object.kind in objects), `two of kind ${object.kind}`);
    objects[object.kind] = object;
  }
}
const pod = objects.Deployment.spec.template;
const [container] = pod.spec.containers;

let server;
before(async () => (server = await startServer()));
after(() => server?.stop());

test("the kustomization names every other file", () => {
  const others = readdirSync(folder).filter((file) => file !== "kustomization.yaml");
  assert.deepEqual([...objects.Kustomization.resources].sort(), others.sort());
  assert.equal(objects.Kustomization.namespace, objects.Namespace.metadata.name);
});

test("every object has its version and name", () => {
  const versions = {
    Deployment: "apps/v1",
    HorizontalPodAutoscaler: "autoscaling/v2",
    Kustomization: "kustomize.config.k8s.io/v1beta1",
    Namespace: "v1",
    NetworkPolicy: "networking.k8s.io/v1",
    PodDisruptionBudget: "policy/v1",
    Service: "v1",
  };
  for (const [kind, object] of Object.entries(objects)) {
    assert.equal(object.apiVersion, versions[kind], kind);
    if (kind !== "Kustomization") assert.match(object.metadata.name, /^[a-z][a-z-]*$/);
  }
  assert.deepEqual(Object.keys(objects).sort(), Object.keys(versions).sort());
});

test("everything selects the pods of the deployment", () => {
  const labels = objects.Deployment.spec.selector.matchLabels;
  assert.deepEqual(pod.metadata.labels, labels);
  assert.deepEqual(objects.Service.spec.selector, labels);
  assert.deepEqual(objects.PodDisruptionBudget.spec.selector.matchLabels, labels);
  assert.deepEqual(objects.NetworkPolicy.spec.podSelector.matchLabels, labels);
  assert.deepEqual(pod.spec.topologySpreadConstraints[0].labelSelector.matchLabels, labels);
  const {scaleTargetRef} = objects.HorizontalPodAutoscaler.spec;
  assert.equal(scaleTargetRef.kind, "Deployment");
  assert.equal(scaleTargetRef.name, objects.Deployment.metadata.name);
  assert.ok(!("replicas" in objects.Deployment.spec), "two would decide");
});

test("probes ask for what the server has, on the port it is given", async () => {
  const [port] = container.ports;
  assert.ok(container.args.includes(`--port=${port.containerPort}`));
  assert.equal(objects.Service.spec.ports[0].targetPort, port.name);
  assert.equal(pod.metadata.annotations["prometheus.io/port"], String(port.containerPort));
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    const {httpGet} = container[probe];
    assert.equal(httpGet.port, port.name);
    assert.equal((await fetch(server.url + httpGet.path)).status, 200, probe);
  }
});

test("the autoscaler's metric is one the server has", async () => {
  const [{pods}] = objects.HorizontalPodAutoscaler.spec.metrics;
  const metrics = await (await fetch(server.url + pod.metadata.annotations["prometheus.io/path"])).text();
  assert.match(metrics, new RegExp(`^# TYPE ${pods.metric.name} gauge$`, "m"));
  assert.match(metrics, new RegExp(`^${pods.metric.name} 0$`, "m"));
  assert.ok(Number(pods.target.averageValue) > 0);
  const {minReplicas, maxReplicas} = objects.HorizontalPodAutoscaler.spec;
  assert.ok(minReplicas >= 2 && maxReplicas > minReplicas);
});

test("arguments are ones the program knows, files are mounted, threads are the CPUs", () => {
  const help = execFileSync(executable, ["serve", "--help"], {encoding: "utf8"});
  const [command, ...options] = container.args;
  assert.equal(command, "serve");
  const mounts = container.volumeMounts.map(({mountPath}) => mountPath);
  for (const option of options) {
    const [, name, value] = option.match(/^(-[-\w]+)=(.*)$/);
    assert.match(help, new RegExp(`(^|[\\s,])${name}\\b`, "m"), `${name} in serve --help`);
    if (value.startsWith("/")) assert.ok(mounts.includes(path.dirname(value)), value);
  }
  for (const {name} of container.volumeMounts) assert.ok(pod.spec.volumes.some((volume) => volume.name === name));
  assert.ok(options.includes(`--threads=${container.resources.limits.cpu}`));
  assert.deepEqual(container.resources.requests, container.resources.limits);
});

// Starts a container's arguments as they stand, but for the port and where the mounts are, and asks with and without
// the key.
async function startAndAsk(args, mounts) {
  const [command, ...flags] = args.filter((arg) => !arg.startsWith("--port="));
  assert.equal(command, "serve");
  const moved = flags.map((flag) => mounts.reduce((text, [from, to]) => text.replace(from, to), flag));
  const running = await startServer(moved);
  try {
    const url = `${running.url.replace("0.0.0.0", "127.0.0.1")}/v1/models`;
    assert.equal((await fetch(url)).status, 401);
    assert.equal((await fetch(url, {headers: {Authorization: "Bearer a-key"}})).status, 200);
  } finally {
    running.process.kill("SIGTERM");
    running.process.kill("SIGINT");  // no --drain-delay for a test
    await running.ended;
  }
}

test("the program starts with the manifest's and the image's arguments", async () => {
  const keys = mkdtempSync(path.join(tmpdir(), "mobilevlm-keys-"));
  try {
    writeFileSync(path.join(keys, "keys"), "a-key\n");
    const mounts = [["/models/", `${path.join(source, "tests/golden/nano-ldpv2")}/`], ["/keys/", `${keys}/`]];
    await startAndAsk(container.args, mounts);
    const image = readFileSync(path.join(source, "deploy/Containerfile"), "utf8");
    assert.deepEqual(JSON.parse(/^ENTRYPOINT (.*)$/m.exec(image)[1]), container.command);
    await startAndAsk(JSON.parse(/^CMD (.*)$/m.exec(image)[1]), mounts);
  } finally {
    rmSync(keys, {recursive: true});
  }
});

test("pods are given the time to drain that they ask for", () => {
  const seconds = (name) => Number(container.args.find((arg) => arg.startsWith(`${name}=`)).split("=")[1]);
  assert.ok(pod.spec.terminationGracePeriodSeconds > seconds("--drain-delay") + seconds("--drain-timeout"));
});

test("the image is built with options that the build has", () => {
  const image = readFileSync(path.join(source, "deploy/Containerfile"), "utf8");
  const build = readFileSync(path.join(source, "CMakeLists.txt"), "utf8");
  const options = [...image.matchAll(/-D(\w+)=/g)].map(([, name]) => name);
  assert.ok(options.length > 0);
  for (const option of options) assert.match(build, new RegExp(`^option\\(${option} `, "m"));
  assert.match(readFileSync(path.join(source, "scripts/setup"), "utf8"), /^ {2}run\) packages=/m);
  const ignored = readFileSync(path.join(source, ".dockerignore"), "utf8").split("\n");
  assert.ok(ignored.includes("build"), "a CMake cache of another folder would stop the build");
});

test("the image has every library that the program needs", () => {
  const image = readFileSync(path.join(source, "deploy/Containerfile"), "utf8").split(/^FROM /m).at(-1);
  const installed = image.match(/apt-get install([^&]*)/)[1].split(/[\s\\]+/);
  const everywhere = ["libc6", "libgcc-s1"];
  const ofTheWorld = ["libcairo2", "libfreetype6"];  // the image is built without the mini world
  const needed = [...execFileSync("readelf", ["-d", executable], {encoding: "utf8"}).matchAll(/NEEDED.*\[(.*)\]/g)];
  assert.ok(needed.length > 3, "readelf shows no libraries");
  const folder = execFileSync("gcc", ["-print-multiarch"], {encoding: "utf8"}).trim();
  for (const [, library] of needed) {
    const owners = execFileSync("dpkg", ["-S", `${folder}/${library}`], {encoding: "utf8"}).split("\n").map((line) => line.split(/[:,]/)[0]);
    const there = owners.some((owner) => [...installed, ...everywhere, ...ofTheWorld].includes(owner));
    assert.ok(there, `${library} is in ${owners}`);
  }
});

test("the container may do nothing but serve", () => {
  assert.equal(pod.spec.securityContext.runAsNonRoot, true);
  assert.equal(pod.spec.automountServiceAccountToken, false);
  const {allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities} = container.securityContext;
  assert.equal(allowPrivilegeEscalation, false);
  assert.equal(readOnlyRootFilesystem, true);
  assert.deepEqual(capabilities.drop, ["ALL"]);
  for (const mount of container.volumeMounts) assert.equal(mount.readOnly, true);
  assert.deepEqual(objects.NetworkPolicy.spec.egress, []);
  assert.deepEqual(objects.NetworkPolicy.spec.policyTypes, ["Ingress", "Egress"]);
});
