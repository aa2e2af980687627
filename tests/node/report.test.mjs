// The training report in a browser, from the file system: of a quick training of every stage, on a phone and on a
// laptop.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {after, before, test} from "node:test";
import {pathToFileURL} from "node:url";
import {LAPTOP, listen, PHONE, startBrowser} from "./page.mjs";

const SMALLEST = 11;  // pixels, of text
const CHARTS = ["loss", "learning rate", "samples per second", "gradient norm"];  // of every stage, among others

const run = mkdtempSync(path.join(tmpdir(), "mobilevlm-report-"));
let browser;
before(async () => {
  const steps = ["--set", "schedule.steps=12", "--set", "schedule.warmup_steps=2", "--log-every", "1"];
  execFileSync(process.env.MOBILEVLM_TRAINER, ["mini", "--quick", "--out", run, ...steps], {stdio: "ignore"});
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  rmSync(run, {recursive: true});
});

// What is wrong with the charts, in words; runs in the page.
function inspectCharts(least) {
  const wrong = [];
  for (const figure of document.querySelectorAll("figure")) {
    const title = figure.querySelector("figcaption").textContent, svg = figure.querySelector("svg");
    const outer = svg.getBoundingClientRect(), scale = svg.getScreenCTM().a;
    const inside = (box) =>
      box.left >= outer.left - 1 && box.right <= outer.right + 1 && box.top >= outer.top - 1 && box.bottom <= outer.bottom + 1;
    const marks = [...svg.querySelectorAll("polyline, circle")].map((mark) => mark.getBoundingClientRect());
    if (marks.length === 0) wrong.push(`${title}: no marks`);
    for (const mark of marks) {
      if (!(mark.width > 0)) wrong.push(`${title}: a mark without a width`);
      if (!inside(mark)) wrong.push(`${title}: a mark outside`);
    }
    const texts = [...svg.querySelectorAll("text")];
    if (texts.length < 4) wrong.push(`${title}: ${texts.length} numbers at the axes`);
    for (const [i, text] of texts.entries()) {
      const box = text.getBoundingClientRect();
      if (!inside(box)) wrong.push(`${title}: ${text.textContent} is cut off`);
      for (const other of texts.slice(0, i)) {
        const its = other.getBoundingClientRect();
        const apart = box.right <= its.left || its.right <= box.left || box.bottom <= its.top || its.bottom <= box.top;
        if (!apart) wrong.push(`${title}: ${other.textContent} and ${text.textContent} overlap`);
      }
      const size = parseFloat(getComputedStyle(text).fontSize) * scale;
      if (size < least) wrong.push(`${title}: text of ${size.toFixed(1)} pixels`);
    }
  }
  return wrong;
}

// Texts outside the charts that are smaller than `least` pixels; runs in the page.
function smallTexts(least) {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const {textContent, parentElement} = walker.currentNode;
    if (!textContent.trim() || parentElement.closest("svg, style")) continue;
    if (parseFloat(getComputedStyle(parentElement).fontSize) < least) small.push(textContent);
  }
  return small;
}

for (const [name, device] of Object.entries({phone: PHONE, laptop: LAPTOP})) {
  test(`the report of a training on a ${name}`, async () => {
    const context = await browser.newContext(device);
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    const url = pathToFileURL(path.join(run, "report.html")).href;
    listen(page, url);
    await page.goto(url);
    assert.deepEqual(await page.locator("h2").allInnerTexts(), ["tower", "language", "align", "multitask"]);
    for (const title of CHARTS) {
      const charts = page.locator("figure", {has: page.locator(`svg[aria-label="${title}"]`)});
      assert.equal(await charts.count(), 4, `${title}, of each stage`);
    }
    assert.deepEqual(await page.evaluate(inspectCharts, SMALLEST), []);

    // The recipes, too, when they are unfolded.
    for (const summary of await page.locator("summary").all()) await summary.click();
    assert.match(await page.locator("pre").first().innerText(), /\[schedule\]/);
    assert.deepEqual(await page.evaluate(smallTexts, SMALLEST), []);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= device.viewport.width, `the page is ${width} pixels wide`);

    const pictures = await page.locator(".card img").evaluateAll((all) => all.map((image) => image.naturalWidth));
    assert.ok(pictures.length > 0 && pictures.every((pixels) => pixels > 0), `pictures: ${pictures}`);
    assert.deepEqual(page.complaints, []);
    await context.close();
  });
}
