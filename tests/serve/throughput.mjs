// node throughput.mjs EXECUTABLE --model TEXT MMPROJ [--clients 1,8] [--tokens 64] [--parallel 8] [--picture FILE]:
// how many tokens per second so many clients get together (the sum of their rates after their first tokens), and
// when the first one comes. Prints a JSON object per number of clients.
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

// One client: when its first and its last token came, and how many there were.
async function ask(seed) {
  const text = {type: "text", text: `${seed} Describe what you see.`};
  const content = picture === null ? text.text
    : [{type: "image_url", image_url: {url: `data:image/png;base64,${readFileSync(picture).toString("base64")}`}}, text];
  const response = await fetch(`${server.url}/v1/chat/completions`, {method: "POST", body: JSON.stringify({
    model: server.model, stream: true, stream_options: {include_usage: true}, max_tokens: tokens, messages: [{role: "user", content}]})});
  let first = 0, last = 0, buffer = "", count = 0;
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    first ||= performance.now();
    last = performance.now();
    buffer += chunk;
  }
  count = JSON.parse(/.*"usage":.*/.exec(buffer)[0].slice(6)).usage.completion_tokens;
  return {first, last, count};
}

let seed = 0;
await ask(++seed);  // wakes everything up
for (const clients of flag("clients", "1,8").split(",").map(Number)) {
  const begin = performance.now();
  const all = await Promise.all(Array.from({length: clients}, () => ask(++seed)));
  const rates = all.map(({first, last, count}) => (count - 1) / (last - first) * 1000);
  const first = all.map((one) => one.first - begin).sort((a, b) => a - b);
  console.log(JSON.stringify({clients, tokens: all.reduce((sum, one) => sum + one.count, 0),
    tokens_per_second: Math.round(rates.reduce((sum, rate) => sum + rate, 0) * 10) / 10,
    first_token_ms: {median: Math.round(first[clients >> 1]), last: Math.round(first.at(-1))},
    seconds: Math.round(performance.now() - begin) / 1000}));
}
process.exit(await server.stop());
