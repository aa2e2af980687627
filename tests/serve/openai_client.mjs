// node openai_client.mjs NODE_MODULES EXECUTABLE SOURCE_DIR: the official `openai` package, unchanged, against
// `mobilevlm serve` with the bundled model.
import assert from "node:assert/strict";
import {existsSync, readFileSync} from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";
import {TestServer} from "./server.mjs";

const [modules, executable, source] = process.argv.slice(2);
const entry = path.join(modules, "openai", "index.mjs");
if (!existsSync(entry)) {
  console.error(`${entry} is not there: scripts/setup test installs it`);
  process.exit(1);
}
const {OpenAI} = await import(pathToFileURL(entry));

const KEY = "test-key";
const server = await TestServer.start(executable, ["--threads", "1", "--parallel", "4", "--quiet", "--api-key", KEY]);
const client = new OpenAI({baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0});
const picture = "data:image/png;base64," +
  readFileSync(path.join(source, "models/mini/samples/shapes.png")).toString("base64");
const question = [{role: "user", content: [
  {type: "text", text: "Which shape is white?"},
  {type: "image_url", image_url: {url: picture}},
]}];
const ask = (more) => client.chat.completions.create({model: server.model, messages: question, max_tokens: 40, ...more});

const tests = {
  async "lists the model"() {
    const models = await client.models.list();
    assert.deepEqual(models.data.map((model) => model.id), [server.model]);
    assert.equal((await client.models.retrieve(server.model)).id, server.model);
  },
  async "answers about a picture"() {
    const completion = await ask();
    assert.equal(completion.object, "chat.completion");
    assert.ok(completion.choices[0].message.content.length > 0);
    assert.ok(["stop", "length"].includes(completion.choices[0].finish_reason));
    const {prompt_tokens, completion_tokens, total_tokens} = completion.usage;
    assert.ok(prompt_tokens > 30 && completion_tokens > 0 && total_tokens === prompt_tokens + completion_tokens);
    assert.equal(completion._request_id, completion.id);
  },
  async "streams the same answer"() {
    const whole = (await ask()).choices[0].message.content;
    const stream = await ask({stream: true, stream_options: {include_usage: true}});
    let text = "", finish = null, usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole);
    assert.ok(finish !== null && usage.completion_tokens > 0);
  },
  async "the stream helper collects it"() {
    const runner = client.chat.completions.stream({model: server.model, messages: question, max_tokens: 20});
    const completion = await runner.finalChatCompletion();
    assert.ok(completion.choices[0].message.content.length > 0);
  },
  async "answers several turns"() {
    const first = (await ask()).choices[0].message;
    const second = await ask({messages: [...question, first, {role: "user", content: "And which one is red?"}]});
    assert.ok(second.usage.prompt_tokens_details.cached_tokens > 30);
  },
  async "gives log probabilities"() {
    const {content} = (await ask({logprobs: true, top_logprobs: 3, max_tokens: 4})).choices[0].logprobs;
    assert.ok(content.length > 0 && content.length <= 4);
    for (const token of content) {
      assert.ok(token.logprob <= 0 && token.top_logprobs.length === 3 && Array.isArray(token.bytes));
      assert.equal(token.top_logprobs[0].token, token.token);  // greedy
    }
  },
  async "the same seed gives the same answer"() {
    const said = async (seed) => (await ask({temperature: 2, seed, max_tokens: 30,
      messages: [{role: "user", content: "Tell me something."}]})).choices[0].message.content;
    assert.equal(await said(5), await said(5));
    const others = await Promise.all([6, 7, 8, 9, 10, 11, 12].map(said));
    assert.ok(new Set([await said(5), ...others]).size > 1);
  },
  async "stops at a stop string"() {
    const whole = (await ask()).choices[0].message.content;
    const stop = whole.slice(2, 5);
    const cut = (await ask({stop})).choices[0];
    assert.equal(cut.message.content, whole.slice(0, whole.indexOf(stop)).trim());
    assert.equal(cut.finish_reason, "stop");
  },
  async "ends at max_tokens"() {
    const choice = (await ask({max_tokens: 1})).choices[0];
    assert.equal(choice.finish_reason, "length");
  },
  async "follows a JSON Schema"() {
    const schema = {type: "object", additionalProperties: false, required: ["shape", "sure", "others"], properties: {
      shape: {enum: ["circle", "square", "star", "triangle"]}, sure: {type: "boolean"},
      others: {type: "array", items: {type: "string", maxLength: 8}, maxItems: 2}}};
    for (const temperature of [0, 1.5]) {
      const completion = await ask({temperature, max_tokens: 200,
        response_format: {type: "json_schema", json_schema: {name: "answer", strict: true, schema}}});
      const answer = JSON.parse(completion.choices[0].message.content);
      assert.deepEqual(Object.keys(answer), ["shape", "sure", "others"]);
      assert.ok(schema.properties.shape.enum.includes(answer.shape) && typeof answer.sure === "boolean");
    }
    const object = await ask({temperature: 1, max_tokens: 60, response_format: {type: "json_object"}});
    assert.equal(typeof JSON.parse(object.choices[0].message.content), "object");
  },
  async "an aborted stream frees its place"() {
    for (let i = 0; i < 12; ++i) {
      const stream = await ask({stream: true, max_tokens: 1500, temperature: 2, response_format: {type: "json_object"}});
      for await (const _ of stream) break;
      stream.controller.abort();
    }
    assert.ok((await ask()).choices.length === 1);
  },
  async "says what is wrong as the client expects"() {
    const refused = (request, status, kind) => assert.rejects(request, (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.equal(error.status, status);
      assert.ok(error.message.length > 10 && error.type !== undefined);
      return true;
    });
    await refused(ask({model: "other"}), 404, OpenAI.NotFoundError);
    await refused(ask({max_tokens: -1}), 400, OpenAI.BadRequestError);
    await refused(ask({n: 3}), 400, OpenAI.BadRequestError);
    await refused(ask({messages: [{role: "user", content: "word ".repeat(5000)}]}), 400, OpenAI.BadRequestError);
    const stranger = new OpenAI({baseURL: `${server.url}/v1`, apiKey: "wrong", maxRetries: 0});
    await refused(stranger.models.list(), 401, OpenAI.AuthenticationError);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
const code = await server.stop();
if (code !== 0) {
  ++failed;
  console.log(`FAILED the server ended with ${code}: ${server.errors}`);
}
process.exit(failed === 0 ? 0 : 1);
