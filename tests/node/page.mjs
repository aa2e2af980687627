// A browser on our pages, for the tests.
import assert from "node:assert/strict";
import {existsSync} from "node:fs";
import {load} from "./server.mjs";

const {chromium} = load("playwright-core");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export async function startBrowser() {
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is not there: scripts/setup test installs it`);
  // No sandbox: tests may run as root, and the page is our own.
  return chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox", "--use-fake-device-for-media-stream"]});
}

export const LAPTOP = {viewport: {width: 1366, height: 768}};
export const DESKTOP = {viewport: {width: 1200, height: 800}};
export const PHONE = {viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true, deviceScaleFactor: 2};

// From now on `page.complaints` collects what the browser reports: script errors, violations of the policy, requests
// for anything but what begins with `url`.
export function listen(page, url) {
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    const expected = message.text().startsWith("Failed to load resource");  // tests of errors answer with errors
    if (message.type() === "error" && !expected) page.complaints.push(message.text());
  });
  page.on("request", (request) => {
    const own = request.url().startsWith(url) || request.url().startsWith("data:");
    if (!own) page.complaints.push(`a request to ${request.url()}`);
  });
}

// The chat page at `url`, connected.
export async function openPage(browser, url, options = DESKTOP) {
  const context = await browser.newContext({permissions: ["clipboard-read", "clipboard-write", "camera"], ...options});
  context.setDefaultTimeout(120_000);  // a busy machine takes long to start pages
  const page = await context.newPage();
  listen(page, url);
  await page.goto(url);
  await page.waitForSelector("#model:not([data-state=wait])");
  return page;
}

export async function ask(page, question) {
  await page.fill("#question", question);
  await page.press("#question", "Enter");
}

// Waits for the answer of turn `index` to be whole; its text.
export async function wholeAnswer(page, index) {
  const turn = page.locator(".turn").nth(index);
  await turn.locator(".copy").waitFor();
  return turn.locator(".answer .text").innerText();
}

// Gives the page a file as a drop or paste would: the event carries it.
export async function giveFile(page, event, {name, type, base64}) {
  await page.evaluate(
    ({event, name, type, base64}) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, {type}));
      const init = {bubbles: true, cancelable: true};
      document.body.dispatchEvent(
        event === "paste"
          ? new ClipboardEvent("paste", {...init, clipboardData: transfer})
          : new DragEvent(event, {...init, dataTransfer: transfer}),
      );
    },
    {event, name, type, base64},
  );
}
