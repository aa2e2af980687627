// The chat page in a browser: what a user does, with the real server and the bundled model.
import assert from "node:assert/strict";
import {mkdirSync, readFileSync} from "node:fs";
import path from "node:path";
import {after, before, test} from "node:test";
import {ask, DESKTOP, giveFile, openPage, PHONE, startBrowser, wholeAnswer} from "./page.mjs";
import {sample, startServer, until} from "./server.mjs";

let server, browser;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const base64 = (name) => readFileSync(sample(name)).toString("base64");

test("an example is answered, a second question follows, the answer can be copied", async () => {
  const page = await openPage(browser, server.url);
  assert.match(await page.locator("#model .name").innerText(), /\S/);
  await page.click(".example >> nth=1");
  const first = await wholeAnswer(page, 0);
  assert.match(first, /\w/);
  assert.match(await page.locator(".turn .stats").innerText(), /first token\s+[\d.]+ m?s[^]*\d+ tokens?$/);
  assert.equal(await page.locator("#welcome").isVisible(), false);

  await page.locator(".turn .copy").click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), first);

  await ask(page, "How many bars are there?");
  await wholeAnswer(page, 1);
  assert.equal(await page.locator(".turn").count(), 2);
  assert.equal(await page.locator(".again:visible").count(), 1, "only the last answer can be given again");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");

  await page.click("#new");
  assert.equal(await page.locator(".turn").count(), 0);
  assert.ok(await page.locator("#welcome").isVisible());
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("the same question is answered the same again", async () => {
  const page = await openPage(browser, server.url);
  await page.click(".example >> nth=0");
  const first = await wholeAnswer(page, 0);
  await page.click(".again");
  assert.equal(await wholeAnswer(page, 0), first);
  await page.context().close();
});

test("pictures are chosen, dropped, pasted and removed", async () => {
  const page = await openPage(browser, server.url);
  await page.setInputFiles("#file", [sample("chart.png"), sample("farm.png")]);
  await page.waitForSelector("#attached li >> nth=1");
  await giveFile(page, "paste", {name: "pasted.png", type: "image/png", base64: base64("shapes.png")});
  await page.waitForSelector("#attached li >> nth=2");
  await giveFile(page, "dragenter", {name: "x.png", type: "image/png", base64: base64("farm.png")});
  assert.ok(await page.locator("#curtain").isVisible());
  await giveFile(page, "drop", {name: "dropped.png", type: "image/png", base64: base64("farm.png")});
  await page.waitForSelector("#attached li >> nth=3");
  assert.equal(await page.locator("#curtain").isVisible(), false);

  for (const name of ["pasted.png", "farm.png", "dropped.png"]) await page.getByLabel(`Remove ${name}`).click();
  assert.equal(await page.locator("#attached li").count(), 1);
  await ask(page, "Which bar is tallest?");
  await wholeAnswer(page, 0);
  assert.equal(await page.locator(".turn .pictures img").getAttribute("alt"), "chart.png");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a picture is taken: with the webcam, on a phone by the system's camera", async () => {
  const page = await openPage(browser, server.url);
  await page.click("#camera");
  await until("a picture in the finder", () => page.evaluate(() => document.querySelector("video").videoWidth > 0));
  assert.equal(await page.evaluate(() => document.activeElement.id), "shutter");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#attached img").getAttribute("alt"), "photo.jpg");
  assert.equal(await page.evaluate(() => document.querySelector("video").srcObject), null, "the camera is still on");
  assert.deepEqual(page.complaints, []);
  await page.context().close();

  const phone = await openPage(browser, server.url, PHONE);
  const [chooser] = await Promise.all([phone.waitForEvent("filechooser"), phone.click("#camera")]);
  assert.equal(await chooser.element().getAttribute("capture"), "environment");
  await chooser.setFiles(sample("farm.png"));
  await phone.waitForSelector("#attached li");
  await phone.context().close();
});

test("a camera that may not be used is said", async () => {
  const page = await openPage(browser, server.url, {...DESKTOP, permissions: []});
  await page.click("#camera");
  assert.match(await page.locator("#notice:visible p").innerText(), /camera/);
  await page.context().close();
});

test("a file that is no picture is named, the others stay", async () => {
  const page = await openPage(browser, server.url);
  await page.setInputFiles("#file", [
    {name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture")},
    {name: "farm.png", mimeType: "image/png", buffer: readFileSync(sample("farm.png"))},
  ]);
  await page.waitForSelector("#attached li");
  assert.match(await page.locator("#notice").innerText(), /notes\.txt/);
  await page.context().close();
});

// The whole road without a mouse: skip link, example, answer, settings and back.
test("everything works from the keyboard", async () => {
  const page = await openPage(browser, server.url);
  await page.click("h1");  // from the top of the page
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");

  await page.locator("#open-settings").focus();
  await page.keyboard.press("Enter");
  const inDialog = () => page.evaluate(() => document.activeElement.closest("dialog") !== null);
  for (let i = 0; i < 10; ++i) {
    assert.ok(await inDialog() || (await page.evaluate(() => document.activeElement === document.body)));
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#settings").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "open-settings");

  for (let i = 0; i < 3; ++i) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Which bar is tallest?");
  await page.keyboard.press("Enter");
  const answer = await wholeAnswer(page, 0);
  await until("the answer is announced", async () => (await page.locator("#status").innerText()).includes(answer));
  await page.context().close();
});

test("the page and its pieces come with a strict policy and are cached by their ETag", async () => {
  const page = await fetch(`${server.url}/`);
  const policy = page.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy?.includes(part), `${part} in ${policy}`);
  }
  assert.ok(!policy.includes("unsafe"), policy);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  const script = await fetch(`${server.url}/app.js`);
  assert.match(script.headers.get("content-type"), /^text\/javascript/);
  const again = await fetch(`${server.url}/app.js`, {headers: {"If-None-Match": script.headers.get("etag")}});
  assert.equal(again.status, 304);
  assert.equal((await fetch(`${server.url}/assets.h`)).status, 404);
});

for (const [name, options, width] of [
  ["phone", PHONE, 390],
  ["small phone", {...PHONE, viewport: {width: 320, height: 568}}, 320],
  ["desktop", DESKTOP, 1200],
]) {
  test(`fits a ${name}`, async () => {
    const page = await openPage(browser, server.url, options);
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    assert.ok(await fits());
    await page.click(".example >> nth=0");
    await wholeAnswer(page, 0);
    assert.ok(await fits());
    const box = await page.locator("#composer").boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + box.height <= options.viewport.height);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll("button")]
        .filter((button) => button.checkVisibility())
        .map((button) => [button.getAttribute("aria-label") ?? button.innerText, button.getBoundingClientRect()])
        .filter(([, {width, height}]) => width < 43 || height < 43)
        .map(([label]) => label),
    );
    assert.deepEqual(small, [], "buttons that a finger misses");
    assert.ok(await page.locator("#camera").isVisible());
    await page.click("#open-settings");
    assert.ok(await fits());
    const dialog = await page.locator("#settings").boundingBox();
    assert.ok(dialog.x >= 0 && dialog.x + dialog.width <= width);
    await page.context().close();
  });
}

// Screenshots for people: SCREENSHOTS=DIR node --test page.test.mjs
if (process.env.SCREENSHOTS) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, options] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      test(`screenshots: ${name}, ${colorScheme}`, async () => {
        mkdirSync(process.env.SCREENSHOTS, {recursive: true});
        const page = await openPage(browser, server.url, {...options, colorScheme});
        const shoot = (what) =>
          page.screenshot({path: path.join(process.env.SCREENSHOTS, `${name}-${colorScheme}-${what}.png`)});
        await shoot("1-welcome");
        await page.click(".example >> nth=0");
        await wholeAnswer(page, 0);
        await ask(page, "What colour is the gem?");
        await wholeAnswer(page, 1);
        await page.setInputFiles("#file", [sample("chart.png"), sample("shapes.png")]);
        await page.waitForSelector("#attached li >> nth=1");
        await page.fill("#question", "What is in these pictures?");
        await shoot("2-conversation");
        await page.setInputFiles("#file", [{name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no")}]);
        await page.waitForSelector("#notice:visible");
        await shoot("3-notice");
        await page.click("#open-settings");
        await shoot("4-settings");
        await page.context().close();
      });
    }
  }
}
