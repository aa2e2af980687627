// node soak.mjs EXECUTABLE SOURCE_DIR [--requests N] [--clients N] [--model TEXT MMPROJ] [--parallel N] [--growth P]:
// many clients for a long time, well-behaved and otherwise. Fails if a good request fails, if a bad one is not
// refused as it should be, if memory grows by P % or more after the first fifth (default 2; a short run is all
// warming up: caches fill, threads start), or if the server does not end cleanly. Prints one JSON object with what
// it measured.
import {readFileSync} from "node:fs";
import {Agent, request as httpRequest} from "node:http";
import path from "node:path";
import {TestServer} from "./server.mjs";

const [executable, source, ...rest] = process.argv.slice(2);
const flag = (name, fallback) => {
  const at = rest.indexOf(`--${name}`);
  return at < 0 ? fallback : rest[at + 1];
};
const requests = Number(flag("requests", 10_000));
const clients = Number(flag("clients", 64));
const parallel = Number(flag("parallel", 8));
const mostGrowth = Number(flag("growth", 2)) / 100;
const modelAt = rest.indexOf("--model");
const model = modelAt < 0 ? [] : ["-m", rest[modelAt + 1], "--mmproj", rest[modelAt + 2]];

const server = await TestServer.start(executable, [...model, "--quiet", "--parallel", String(parallel),
  // Requests of clients that have gone stay in the queue until the engine looks at it again.
  "--queue", String(2 * clients), "--picture-cache", "8"]);
const agent = new Agent({keepAlive: true, maxSockets: clients});
const pictures = ["chart", "farm", "shapes"].map((name) => "data:image/png;base64," +
  readFileSync(path.join(source, `models/mini/samples/${name}.png`)).toString("base64"));

// Resolves to {status, text, first: ms until the first byte of the body}; `abortAfter` bytes of it, if given.
function post(body, {abortAfter = Infinity, route = "/v1/chat/completions"} = {}) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const call = httpRequest(server.url + route, {agent, method: "POST",
      headers: {"Content-Type": "application/json", "Content-Length": Buffer.byteLength(body)}}, (response) => {
      let text = "", first = 0;
      response.on("data", (chunk) => {
        first ||= performance.now() - begin;
        text += chunk;
        if (text.length > abortAfter) {
          call.destroy();
          resolve({status: response.statusCode, text, first, aborted: true});
        }
      });
      response.on("end", () => resolve({status: response.statusCode, text, first}));
      response.on("error", failed);
    });
    const failed = (error) => (abortAfter === Infinity ? reject(error) : resolve({status: 0, text: ""}));
    call.on("error", failed);
    call.end(body);
    if (abortAfter === 0) setTimeout(() => call.destroy(), 5);
  });
}

const question = (i, more = {}) => JSON.stringify({model: server.model, max_tokens: 4 + (i % 13), seed: i, temperature: i % 2,
  messages: [{role: "user", content: `What is number ${i}?`}], ...more});
const about = (i, picture) => [{role: "user", content: [
  {type: "image_url", image_url: {url: picture}}, {type: "text", text: `What is this, ${i}?`}]}];

const expect = (result, status) => {
  if (result.status !== status) throw new Error(`wanted ${status}, found ${result.status}: ${result.text.slice(0, 300)}`);
};
// What client number i asks, in turn; TTFT is measured on the streams.
const firstTokens = [];
const kinds = [
  async (i) => expect(await post(question(i)), 200),
  async (i) => {
    const result = await post(question(i, {stream: true}));
    expect(result, 200);
    if (!result.text.endsWith("data: [DONE]\n\n")) throw new Error("the stream has no end");
    firstTokens.push(result.first);
  },
  async (i) => expect(await post(question(i, {messages: about(i, pictures[i % pictures.length])})), 200),
  async (i) => {
    const result = await post(question(i, {max_tokens: 60, response_format: {type: "json_object"}}));
    expect(result, 200);
    JSON.parse(JSON.parse(result.text).choices[0].message.content);
  },
  async (i) => void (await post(question(i, {stream: true, max_tokens: 200}), {abortAfter: 300})),
  async (i) => void (await post(question(i), {abortAfter: 0})),
  async (i) => expect(await post(question(i).slice(0, -5)), 400),
  async (i) => expect(await post(question(i, {messages: about(i, "data:image/png;base64,AAAA")})), 400),
  async (i) => expect(await post(question(i, {messages: [{role: "user", content: "\ud83d\ude00\u0000\uffff ".repeat(20)}]})), 200),
];

const resident = async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/mobilevlm_memory_bytes\{kind="resident"\} (\S+)/.exec(text)[1]);
};

const failures = [];
let next = 0, warm = null;
const begin = performance.now();
async function client() {
  while (next < requests) {
    const i = next++;
    if (i === Math.floor(requests / 5)) warm = await resident();
    try {
      await kinds[i % kinds.length](i);
    } catch (error) {
      failures.push(`${i % kinds.length}: ${error.message}`);
    }
  }
}
await Promise.all(Array.from({length: clients}, client));
const seconds = (performance.now() - begin) / 1000;
const end = await resident();
const health = (await fetch(`${server.url}/ready`)).status;
agent.destroy();
const code = await server.stop();

firstTokens.sort((a, b) => a - b);
const percentile = (p) => Math.round(firstTokens[Math.min(firstTokens.length - 1, Math.floor(firstTokens.length * p))]);
const growth = (end - warm) / warm;
console.log(JSON.stringify({requests, clients, parallel, seconds: Math.round(seconds * 10) / 10,
  requests_per_second: Math.round(requests / seconds * 10) / 10, failures: failures.length,
  mean_in_system_ms: Math.round(clients / (requests / seconds) * 1000),  // by Little's law
  first_token_ms: {p50: percentile(0.5), p95: percentile(0.95), max: percentile(1)},
  resident_mib: {after_a_fifth: Math.round(warm / 2 ** 20), end: Math.round(end / 2 ** 20)},
  growth_percent: Math.round(growth * 10_000) / 100, exit_code: code}));
for (const failure of failures.slice(0, 10)) console.error(failure);
process.exit(failures.length === 0 && growth < mostGrowth && health === 200 && code === 0 ? 0 : 1);
