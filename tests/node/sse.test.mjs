// The page's parser of server-sent events, fed with bytes cut anywhere.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import path from "node:path";
import test from "node:test";
import {source} from "./server.mjs";

const code = readFileSync(path.join(source, "src/serve/web/sse.js"), "utf8");
const {events} = await import(`data:text/javascript,${encodeURIComponent(code)}`);

async function parse(bytes, cut) {
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += cut) controller.enqueue(bytes.subarray(at, at + cut));
      controller.close();
    },
  });
  const found = [];
  for await (const data of events(body)) found.push(data);
  return found;
}

const cases = {
  "one event per line": ["data: a\n\ndata: b\n\n", ["a", "b"]],
  "every kind of line end": ["data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]],
  "lines of one event": ["data: a\ndata: b\n\n", ["a\nb"]],
  "characters of several bytes": ["data: grüße 猫 🐈\n\n", ["grüße 猫 🐈"]],
  "comments and other fields": [": keep-alive\n\nevent: x\nid: 3\ndata: a\n\n", ["a"]],
  "no space after the colon, and only one is dropped": ["data:a\n\ndata:  b\n\n", ["a", " b"]],
  "empty data": ["data:\n\n", [""]],
  "an end without an empty line": ["data: a\n\ndata: b", ["a", "b"]],
  "nothing": ["", []],
};
for (const [name, [text, expected]] of Object.entries(cases)) {
  test(name, async () => {
    const bytes = new TextEncoder().encode(text);
    for (const cut of [1, 2, 3, 5, 7, 1000]) assert.deepEqual(await parse(bytes, cut), expected, `cut at ${cut}`);
  });
}

test("whoever stops reading ends the stream", async () => {
  let cancelled = false;
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("data: a\n\n")),
    cancel: () => (cancelled = true),
  });
  for await (const data of events(body)) {
    assert.equal(data, "a");
    break;
  }
  assert.ok(cancelled);
});
