// deploy/nginx.conf in front of two replicas under load. One is killed, then one is told to stop: no request fails whose
// answer had not begun, and of those that had, none when the replica was told.
import assert from "node:assert/strict";
import {execFileSync, spawn} from "node:child_process";
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";
import {freePort, sample, source, startServer, until} from "./server.mjs";

const NGINX = process.env.NGINX ?? "/usr/sbin/nginx";
const CLIENTS = 12;
const FLAGS = ["--threads", "1", "--parallel", "4", "--quiet"];
const picture = readFileSync(sample("farm.png")).toString("base64");

let directory, nginx, nginxPort;
const asking = new Set();  // results that are not whole yet
const ports = [];
const replicas = [];

before(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), "mobilevlm-nginx-"));
  chmodSync(directory, 0o755);  // nginx's workers are another user if this is root
  for (const i of [0, 1]) {
    ports[i] = await freePort();
    replicas[i] = await startServer(FLAGS, ports[i]);
  }
  nginxPort = await freePort();
  const config = readFileSync(path.join(source, "deploy/nginx.conf"), "utf8")
    .replace("127.0.0.1:8081", `127.0.0.1:${ports[0]}`)
    .replace("127.0.0.1:8082", `127.0.0.1:${ports[1]}`)
    .replace("listen 8080;", `listen 127.0.0.1:${nginxPort};`);
  for (const port of [...ports, nginxPort]) assert.ok(config.includes(`:${port}`), "the shipped file has changed");
  const file = path.join(directory, "nginx.conf");
  // Only where nginx keeps its own files differs from what is shipped.
  writeFileSync(file, config.replace("http {", `pid ${directory}/nginx.pid;\ndaemon off;\nhttp {\n` +
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `  ${name}_temp_path ${directory}/${name};\n`).join("")));
  execFileSync(NGINX, ["-t", "-q", "-e", "stderr", "-p", directory, "-c", file], {stdio: ["ignore", "ignore", "pipe"]});
  nginx = spawn(NGINX, ["-e", "stderr", "-p", directory, "-c", file], {stdio: ["ignore", "ignore", "pipe"]});
  nginx.log = "";
  nginx.stderr.on("data", (data) => (nginx.log += data));
  await until("nginx", async () => (await ask({stream: false, tokens: 1})).status === 200);
});
after(async () => {
  for (const replica of replicas) await replica?.stop();
  if (nginx) {
    const closed = new Promise((resolve) => nginx.on("close", resolve));
    nginx.kill("SIGTERM");
    await closed;
  }
  rmSync(directory, {recursive: true, force: true});
});

// One question through nginx: {status, begun, whole, text}. `begun`: a byte of the answer arrived.
function ask({stream, tokens}) {
  const body = JSON.stringify({
    model: replicas[0].model,
    stream,
    max_tokens: tokens,
    temperature: 1.5,
    messages: [{role: "user", content: [
      {type: "image_url", image_url: {url: `data:image/png;base64,${picture}`}},
      {type: "text", text: "Describe the picture."},
    ]}],
  });
  return new Promise((resolve) => {
    const result = {status: 0, begun: false, whole: false, text: ""};
    asking.add(result);
    const end = () => {
      asking.delete(result);
      resolve(result);
    };
    const request = http.request(
      {host: "127.0.0.1", port: nginxPort, method: "POST", path: "/v1/chat/completions", agent: false,
        headers: {"Content-Type": "application/json", "Content-Length": Buffer.byteLength(body)}},
      (response) => {
        result.status = response.statusCode;
        response.on("data", (data) => {
          result.begun = true;
          result.text += data;
        });
        response.on("end", () => {
          result.whole = response.complete && (stream ? result.text.includes("data: [DONE]") : result.text.endsWith("}"));
          end();
        });
        response.on("error", end);
      },
    );
    request.on("error", end);
    request.end(body);
  });
}

// CLIENTS ask one question after the other, in turn streamed and not. In the thick of it, when some answers have begun,
// `strike` is called; the load goes on for a while. All results.
async function underLoad(strike) {
  const results = [];
  let struck = -1;
  const watch = setInterval(() => {
    const begun = [...asking].filter((result) => result.begun).length;
    if (struck >= 0 || results.length < CLIENTS || begun < 2) return;
    struck = results.length;
    strike();
  }, 1);
  const done = () => struck >= 0 && results.length >= struck + 4 * CLIENTS;
  await Promise.all(
    Array.from({length: CLIENTS}, async (_, client) => {
      for (let i = 0; !done(); ++i) results.push(await ask({stream: (client + i) % 2 === 0, tokens: 40}));
    }),
  );
  clearInterval(watch);
  return results;
}
const isWhole = ({status, whole}) => status === 200 && whole;
const describe = (results) => JSON.stringify(results.slice(0, 3).map(({status, begun, text}) => ({status, begun, text: text.slice(-200)})));

test("a replica is killed under load", async (t) => {
  const results = await underLoad(() => replicas[0].process.kill("SIGKILL"));
  const failed = results.filter((result) => !isWhole(result));
  t.diagnostic(`${results.length} requests, ${failed.length} cut off in the middle of their answer`);
  const neverBegun = failed.filter(({begun, status}) => !(begun && status === 200));
  assert.equal(neverBegun.length, 0, describe(neverBegun) + nginx.log.slice(-2000));
  assert.ok(failed.length <= CLIENTS, "more were cut off than were being answered");
  assert.equal(await replicas[0].ended, "SIGKILL");
});

test("it comes back and is used again", async () => {
  replicas[0] = await startServer(FLAGS, ports[0]);
  const tokens = async () => {
    const metrics = await (await fetch(`${replicas[0].url}/metrics`)).text();
    return Number(metrics.match(/^mobilevlm_generated_tokens_total (\d+)/m)[1]);
  };
  await until("the restarted replica answers", async () => {
    const results = await Promise.all(Array.from({length: 4}, () => ask({stream: true, tokens: 4})));
    assert.ok(results.every(isWhole), describe(results));
    return (await tokens()) > 0;
  });
});

test("a replica is told to stop under load", async (t) => {
  const results = await underLoad(() => replicas[1].process.kill("SIGTERM"));
  t.diagnostic(`${results.length} requests`);
  const failed = results.filter((result) => !isWhole(result));
  assert.equal(failed.length, 0, describe(failed) + nginx.log.slice(-2000));
  assert.equal(await replicas[1].ended, 0, replicas[1].errors);
});
