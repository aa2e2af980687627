// node throughput.mjs EXECUTABLE --model TEXT MMPROJ [--clients 1,8] [--tokens 64] [--parallel 8] [--picture FILE]: how
// many tokens per second come out when so many clients decode together, and when the first one comes. Prints a
// JSON object per number of clients.
import {readFileSync} from "node:fs";
import {TestServer} from "./server.mjs";

const [executable, ...rest] = process.argv.slice(2);
const flag = (name, fallback) => {
  const at = rest.indexOf(`--${name}`);
  return at < 0 ? fallback : rest[at + 1];
};
const modelAt = rest.indexOf("--model");
const tokens = Number(flag("tokens", 64));
const picture = flag("picture", null);
const server = await TestServer.start(executable, ["-m", rest[modelAt + 1], "--mmproj", rest[modelAt + 2],
  "--quiet", "--ctx", flag("ctx", "1024"), "--parallel", flag("parallel", "8")]);

// One client: when its tokens came.
async function ask(seed) {
  const text = {type: "text", text: `${seed} Describe what you see.`};
  const content = picture === null ? text.text
    : [{type: "image_url", image_url: {url: `data:image/png;base64,${readFileSync(picture).toString("base64")}`}}, text];
  const response = await fetch(`${server.url}/v1/chat/completions`, {method: "POST", body: JSON.stringify({
    model: server.model, stream: true, stream_options: {include_usage: true}, max_tokens: tokens, temperature: 1, seed,
    logprobs: true, messages: [{role: "user", content}]})});
  const begin = performance.now();
  const times = [];
  let buffer = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    buffer += chunk;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      if (event === "data: [DONE]") continue;
      const count = JSON.parse(event.slice(6)).choices[0]?.logprobs?.content?.length ?? 0;
      for (let i = 0; i < count; ++i) times.push(performance.now());
    }
  }
  return times;
}

let seed = 0;
await ask(++seed);  // wakes everything up
for (const clients of flag("clients", "1,8").split(",").map(Number)) {
  const begin = performance.now();
  const all = await Promise.all(Array.from({length: clients}, () => ask(++seed)));
  // While all of them decode: from the last one's first token to the first one's last.
  const from = Math.max(...all.map((times) => times[0])), to = Math.min(...all.map((times) => times.at(-1)));
  const decoded = all.flat().filter((time) => time > from && time <= to).length;
  const gaps = all.flatMap((times) => times.slice(1).map((time, i) => time - times[i])).sort((a, b) => a - b);
  const first = all.map((times) => times[0] - begin).sort((a, b) => a - b);
  console.log(JSON.stringify({clients, tokens_per_second: Math.round(decoded / (to - from) * 10_000) / 10,
    step_ms: Math.round((to - from) / decoded * clients * 10) / 10,
    first_token_ms: {median: Math.round(first[clients >> 1]), last: Math.round(first.at(-1))},
    gap_ms: {median: Math.round(gaps[gaps.length >> 1]), max: Math.round(gaps.at(-1))}}));
}
process.exit(await server.stop());
