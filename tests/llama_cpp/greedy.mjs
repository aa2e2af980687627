// node greedy.mjs NODE_MODULES REQUEST.json: what llama.cpp makes of text models, through node-llama-cpp.
//
// The request is a list of {"model": path, "texts": [..], "prompts": [[ids]..], "count": n}. Prints a list of
// {"system": the instruction sets it uses, "texts": [[ids]..], "answers": [[ids]..]}: the ids of the texts, and
// after each prompt the n likeliest ids one by one, past the end of the text if need be; or {"error": message}.
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
import path from "node:path";

const [modules, requestPath] = process.argv.slice(2);
const entry = path.join(modules, "node-llama-cpp", "dist", "index.js");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
// The engine that the package brought along: nothing is built or fetched.
const llama = await getLlama({gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error});

async function answer(context, prompt, count) {
  const sequence = context.getSequence();
  const ids = [];
  for await (const id of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    ids.push(Number(id));
    if (ids.length >= count) break;
  }
  sequence.dispose();
  return ids;
}

const results = [];
for (const {model: modelPath, texts, prompts, count} of JSON.parse(readFileSync(requestPath, "utf8"))) {
  try {
    const model = await llama.loadModel({modelPath});
    const context = await model.createContext({contextSize: 256, threads: 1, flashAttention: false});
    const result = {system: llama.systemInfo, texts: [], answers: []};
    for (const text of texts) result.texts.push(model.tokenize(text, false).map(Number));
    for (const prompt of prompts) result.answers.push(await answer(context, prompt, count));
    results.push(result);
    await context.dispose();
    await model.dispose();
  } catch (error) {
    results.push({error: `${modelPath}: ${error}`});
  }
}
console.log(JSON.stringify(results));
process.exit(0);
