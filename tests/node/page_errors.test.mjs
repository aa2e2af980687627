// The chat page when the server is slow, busy, broken or hostile: a script answers its questions. And what the page
// asks for, word by word.
import assert from "node:assert/strict";
import {after, before, beforeEach, test} from "node:test";
import {ask, DESKTOP, openPage, startBrowser, wholeAnswer} from "./page.mjs";
import {sample, sendError, sleep, startScripted, startServer, streamAnswer, until} from "./server.mjs";

let server, scripted, browser;
let asked = [];  // bodies of the questions
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  scripted = await startScripted(server.url);
});
after(async () => {
  await browser?.close();
  scripted?.close();
  await server?.stop();
});
beforeEach(() => {
  asked = [];
  answerWith((response) => streamAnswer(response, ["It", " is", " a", " cat."]));
});

// `answer(response, request)` for each question; everything else is the real server's.
function answerWith(answer) {
  scripted.script = async (request, body, response) => {
    if (request.method !== "POST") return "pass";
    asked.push({...JSON.parse(body), authorization: request.headers.authorization});
    await answer(response, request);
  };
}
const open = (options) => openPage(browser, scripted.url, options);
const notice = (page) => page.locator("#notice:visible p").innerText();

test("asks with the settings, and sends every turn with its pictures", async () => {
  const page = await open();
  await page.click("#open-settings");
  await page.fill("#temperature", "0.7");
  await page.fill("#max-tokens", "77");
  await page.fill("#system", "Answer in one word.");
  await page.fill("#api-key", "sk-test");
  await page.click("#settings [type=submit]");
  await page.setInputFiles("#file", [sample("farm.png"), sample("chart.png")]);
  await page.waitForSelector("#attached li >> nth=1");
  await ask(page, "What is this?");
  await wholeAnswer(page, 0);
  await ask(page, "And that?");
  await wholeAnswer(page, 1);

  const [first, second] = asked;
  assert.equal(first.stream, true);
  assert.equal(first.temperature, 0.7);
  assert.equal(first.max_tokens, 77);
  assert.equal(first.authorization, "Bearer sk-test");
  assert.equal(first.model, await page.locator("#model .name").innerText());
  const [system, user] = first.messages;
  assert.deepEqual(system, {role: "system", content: "Answer in one word."});
  assert.deepEqual(user.content.map((part) => part.type), ["image_url", "image_url", "text"]);
  assert.match(user.content[0].image_url.url, /^data:image\/png;base64,/);
  assert.equal(user.content[2].text, "What is this?");
  assert.deepEqual(second.messages.slice(0, 2), [system, user]);
  assert.deepEqual(second.messages.slice(2), [
    {role: "assistant", content: "It is a cat."},
    {role: "user", content: "And that?"},
  ]);

  // Kept for the next visit; the key only as long as the tab.
  const later = await page.context().newPage();
  await later.goto(scripted.url);
  await later.click("#open-settings");
  assert.equal(await later.inputValue("#max-tokens"), "77");
  assert.equal(await later.inputValue("#system"), "Answer in one word.");
  assert.equal(await later.inputValue("#api-key"), "");
  await later.click("#defaults");
  assert.equal(await later.inputValue("#max-tokens"), "512");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a picture too large to send is made smaller in the browser", async () => {
  const page = await open();
  await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2000, 1500];
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const transfer = new DataTransfer();  // what follows the end of a PNG is no part of the picture
    transfer.items.add(new File([blob, new Uint8Array(5 << 20)], "large.png", {type: "image/png"}));
    document.body.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, clipboardData: transfer}));
  });
  await page.waitForSelector("#attached li");
  await ask(page, "What?");
  await wholeAnswer(page, 0);
  const {url} = asked[0].messages[0].content[0].image_url;
  assert.match(url, /^data:image\/jpeg/);
  assert.ok(url.length < 1 << 20);
  const size = await page.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  }, url);
  assert.deepEqual(size, [1600, 1200]);
  await page.context().close();
});

test("an answer is shown as it comes, with its speed, and as text whatever it says", async () => {
  const page = await open();
  const pieces = ["<img src=x onerror=alert(1)>", " **bold**", "\nsecond line"];
  let goOn;
  const gate = new Promise((resolve) => (goOn = resolve));
  answerWith((response) => streamAnswer(response, pieces, {between: () => gate, usage: 9}));
  await ask(page, "What?");
  await until("the first piece", async () => (await page.locator(".answer .text").innerText()) === pieces[0]);
  assert.ok(await page.locator("#stop").isVisible());
  goOn();
  const whole = await wholeAnswer(page, 0);
  assert.equal(whole, pieces.join(""));
  assert.equal(await page.locator(".answer img").count(), 0);
  assert.match(await page.locator(".stats .speed").innerText(), /^\d+(\.\d)? tokens\/s$/);
  assert.match(await page.locator(".stats .count").innerText(), /^9 tokens$/, "the server's count");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

for (const how of ["the button", "Escape"]) {
  test(`${how} stops an answer; what was said stays, and the server is told`, async () => {
    const page = await open();
    let left = false;
    answerWith((response, request) => {
      request.socket.on("close", () => (left = true));
      return streamAnswer(response, Array(500).fill("on and "), {between: () => sleep(20)});
    });
    await ask(page, "What?");
    await until("some words", async () => (await page.locator(".answer .text").innerText()).length > 20);
    if (how === "Escape") await page.keyboard.press("Escape");
    else await page.click("#stop");
    assert.match(await wholeAnswer(page, 0), /^on and/);
    assert.equal(await page.locator(".note:visible").innerText(), "Stopped.");
    await until("the connection is closed", () => left);
    await page.context().close();
  });
}

test("stopped before its first word, a question goes back to be asked again", async () => {
  const page = await open();
  answerWith(() => {});  // never
  await page.setInputFiles("#file", [sample("farm.png")]);
  await page.waitForSelector("#attached li");
  await ask(page, "What?");
  await page.waitForSelector(".waiting:visible");
  await page.click("#stop");
  await page.waitForSelector("#attached li");
  assert.equal(await page.inputValue("#question"), "What?");
  assert.equal(await page.locator(".turn").count(), 0);
  assert.equal(await page.locator("#notice").isVisible(), false);
  await page.context().close();
});

test("a new conversation leaves nothing of a question that waits", async () => {
  const page = await open();
  answerWith(() => {});  // never
  await page.evaluate(() => {
    window.clocks = new Set();
    const {setInterval, clearInterval} = window;
    window.setInterval = (...args) => {
      const clock = setInterval(...args);
      window.clocks.add(clock);
      return clock;
    };
    window.clearInterval = (clock) => {
      window.clocks.delete(clock);
      clearInterval(clock);
    };
  });
  const clocks = () => page.evaluate(() => window.clocks.size);
  await ask(page, "What?");
  await page.waitForSelector(".waiting:visible");
  assert.equal(await clocks(), 1);
  await page.click("#new");
  await until("no clock runs", async () => (await clocks()) === 0, 10_000);
  assert.equal(await page.locator(".turn").count(), 0);
  await page.context().close();
});

test("an error of the server is shown in its words, nothing is lost, trying again works", async () => {
  const page = await open();
  answerWith((response) => sendError(response, 500, {message: "The engine stumbled.", type: "server_error"}));
  await ask(page, "What?");
  assert.equal(await notice(page), "The engine stumbled.");
  assert.equal(await page.locator("#notice").getAttribute("role"), "alert");
  assert.equal(await page.inputValue("#question"), "What?");
  answerWith((response) => streamAnswer(response, ["Now", " it", " does."]));
  await page.click("#notice .action");
  assert.equal(await wholeAnswer(page, 0), "Now it does.");
  assert.equal(await page.locator("#notice").isVisible(), false);
  await page.context().close();
});

test("an error that is no JSON is told by its status", async () => {
  const page = await open();
  answerWith((response) => response.writeHead(502, "Bad Gateway", {"Content-Type": "text/html"}).end("<h1>nginx</h1>"));
  await ask(page, "What?");
  assert.match(await notice(page), /502/);
  await page.context().close();
});

test("a missing key is asked for", async () => {
  const page = await open();
  answerWith((response, request) =>
    request.headers.authorization === "Bearer right"
      ? streamAnswer(response, ["Welcome."])
      : sendError(response, 401, {message: "Incorrect API key", code: "invalid_api_key"}),
  );
  await ask(page, "What?");
  assert.match(await notice(page), /asks for an API key/);
  await page.click("#notice .action");
  assert.equal(await page.evaluate(() => document.activeElement.id), "api-key");
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await page.press("#question", "Enter");
  assert.equal(await wholeAnswer(page, 0), "Welcome.");
  await page.context().close();
});

test("a busy server is asked again when it says", async () => {
  const page = await open();
  let times = 0;
  answerWith((response) =>
    ++times < 3
      ? sendError(response, 429, {message: "queue full", code: "queue_full"}, {"Retry-After": "1"})
      : streamAnswer(response, ["At last."]),
  );
  await ask(page, "What?");
  await until("it says why it waits", async () => (await page.locator(".what").innerText()).includes("busy"));
  assert.equal(await wholeAnswer(page, 0), "At last.");
  assert.equal(asked.length, 3);
  await page.context().close();
});

test("a conversation beyond the context can begin anew with the same question", async () => {
  const page = await open();
  await ask(page, "What?");
  await wholeAnswer(page, 0);
  answerWith((response) =>
    sendError(response, 400, {message: "too long", code: "context_length_exceeded", type: "invalid_request_error"}),
  );
  await ask(page, "And then?");
  assert.match(await notice(page), /too long/);
  await page.click("#notice .action");
  assert.equal(await page.locator(".turn").count(), 0);
  assert.equal(await page.inputValue("#question"), "And then?");
  await page.context().close();
});

test("a connection that breaks in the middle keeps what was said and says so", async () => {
  const page = await open();
  answerWith(async (response) => {
    response.writeHead(200, {"Content-Type": "text/event-stream"});
    response.write('data: {"choices":[{"delta":{"content":"Half a"}}]}\n\n');
    setTimeout(() => response.destroy(), 300);
  });
  await ask(page, "What?");
  assert.equal(await wholeAnswer(page, 0), "Half a");
  assert.match(await page.locator(".note").innerText(), /broke off/);

  answerWith((response) => {
    response.writeHead(200, {"Content-Type": "text/event-stream"});
    response.end('data: {"choices":[{"delta":{"content":"No end"}}]}\n\n');
  });
  await page.click(".again");
  await until("the note", async () => (await page.locator(".note:visible").count()) === 1);
  assert.match(await page.locator(".note").innerText(), /ended before/);

  answerWith((response) => {
    response.writeHead(200, {"Content-Type": "text/event-stream"});
    response.end('data: {"choices":[{"delta":{"content":"Hm"}}]}\n\ndata: {"error":{"message":"Deadline."}}\n\n');
  });
  await page.click(".again");
  await until("the error in the stream", async () => (await page.locator(".note").innerText()) === "Deadline.");
  await page.context().close();
});

test("an answer cut at its longest length says so", async () => {
  const page = await open();
  answerWith((response) => streamAnswer(response, ["One", " two"], {finish: "length"}));
  await ask(page, "Count");
  await wholeAnswer(page, 0);
  assert.match(await page.locator(".note").innerText(), /longest length/);
  await page.context().close();
});

test("no server: the page says so and connects later", async () => {
  const page = await open();
  scripted.script = (request, body, response) => void response.destroy();
  await page.reload();
  assert.match(await notice(page), /cannot be reached/);
  assert.equal(await page.locator("#model").getAttribute("data-state"), "error");
  scripted.script = null;
  await page.click("#notice .action");
  await page.waitForSelector("#model[data-state=ready]");
  await page.context().close();
});

// --- looks ---

// Contrast of text against the nearest opaque background, after WCAG 2.
const contrasts = () => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.closest(".hidden, .skip, :disabled")) continue;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(background(element))];
    found.push({text: element.textContent.trim(), ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)});
  }
  return found;
};

for (const colorScheme of ["light", "dark"]) {
  test(`${colorScheme}: text can be read, the appearance can be changed and is kept`, async () => {
    const page = await open({...DESKTOP, colorScheme, reducedMotion: "reduce"});
    const pageColor = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const system = await pageColor();
    const check = async () => {
      const all = await page.evaluate(contrasts);
      assert.ok(all.length > 3, "found no text");
      assert.deepEqual(all.filter(({ratio}) => ratio < 4.5), []);
    };
    await check();
    answerWith((response) => sendError(response, 400, {message: "No."}));
    await ask(page, "What?");
    await page.waitForSelector("#notice:visible");
    await check();
    await page.click("#open-settings");
    await check();
    await page.keyboard.press("Escape");

    await page.click("#theme");
    const changed = await pageColor();
    assert.notEqual(changed, system);
    await check();
    await page.reload();
    assert.equal(await pageColor(), changed);
    await page.click("#open-settings");
    await page.selectOption("#appearance", "system");
    await page.click("#settings [type=submit]");
    assert.equal(await pageColor(), system);
    await page.context().close();
  });
}

test("every control has a name", async () => {
  const page = await open();
  await page.setInputFiles("#file", [sample("farm.png")]);
  await page.waitForSelector("#attached li");
  await ask(page, "What?");
  await wholeAnswer(page, 0);
  await page.setInputFiles("#file", [sample("farm.png")]);
  await page.waitForSelector("#attached li");
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, textarea, select, dialog, img")]
      .filter((element) => {
        const label = element.labels?.[0]?.textContent ?? "";
        const by = document.getElementById(element.getAttribute("aria-labelledby"))?.textContent ?? "";
        const own = element.getAttribute("aria-label") ?? element.getAttribute("alt") ?? element.textContent;
        const decoration = element.matches("h1 img") || element.matches("#notice .action[hidden]");
        return !decoration && (label + by + own).trim() === "";
      })
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(nameless, []);
  await page.context().close();
});
