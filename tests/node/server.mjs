// Starts what the tests of this folder talk to. From the environment:
//   MOBILEVLM_EXECUTABLE  the program under test
//   NODE_MODULES          the packages of package.json (scripts/setup test puts them into build/node_modules)
import assert from "node:assert/strict";
import http from "node:http";
import {createRequire} from "node:module";
import net from "node:net";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {TestServer} from "../serve/server.mjs";

export const source = fileURLToPath(new URL("../..", import.meta.url));
export const sample = (name) => path.join(source, "models/mini/samples", name);

const modules = process.env.NODE_MODULES ?? path.join(source, "build/node_modules");
export const load = createRequire(path.join(modules, "package.json"));

export const executable = process.env.MOBILEVLM_EXECUTABLE ?? path.join(source, "build/release/bin/mobilevlm");
const PATIENCE = 60_000;  // milliseconds, for a machine that is busy

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, condition, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `waited in vain for: ${what}`);
    await sleep(20);
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const {port} = server.address();
      server.close(() => resolve(port));
    });
  });
}

// `mobilevlm serve` with the bundled model: {url, model, ended, errors}, see TestServer.
export const startServer = (flags = [], port = 0) => TestServer.start(executable, flags, port);

// A server between the browser and the real one: passes everything on but the questions, which `script(request, body,
// response)` answers; it may say "pass" to have one passed on.
export async function startScripted(upstream) {
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const isQuestion = request.url.startsWith("/v1/") && scripted.script;
    if (isQuestion && (await scripted.script(request, body.toString(), response)) !== "pass") return;
    const forward = http.request(upstream + request.url, {method: request.method, headers: request.headers}, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forward.on("error", () => response.destroy());
    forward.end(body);
  });
  const scripted = {script: null};
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  scripted.url = `http://127.0.0.1:${server.address().port}`;
  scripted.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return scripted;
}

// An answer in the form of a stream: `pieces` as tokens; `between()` is awaited after each.
export async function streamAnswer(response, pieces, {between = () => {}, finish = "stop", usage = pieces.length} = {}) {
  const chunk = (value) => `data: ${JSON.stringify(value)}\n\n`;
  response.writeHead(200, {"Content-Type": "text/event-stream"});
  for (const content of pieces) {
    if (response.destroyed) return;
    response.write(chunk({choices: [{index: 0, delta: {content}, finish_reason: null}]}));
    await between();
  }
  response.write(chunk({choices: [{index: 0, delta: {}, finish_reason: finish}]}));
  response.write(chunk({choices: [], usage: {prompt_tokens: 1, completion_tokens: usage, total_tokens: usage + 1}}));
  response.end("data: [DONE]\n\n");
}

export function sendError(response, status, error, headers = {}) {
  response.writeHead(status, {"Content-Type": "application/json", ...headers});
  response.end(JSON.stringify({error}));
}
