// The server's OpenAI-compatible API, as much of it as the page uses.
import {events} from "./sse.js";

// What went wrong, in words for the user. `status` is HTTP's, 0 if there was no answer.
export class ApiError extends Error {
  constructor(message, {status = 0, code = "", retryAfter = 0} = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;  // seconds
  }
}

const SHORTEST_MEASURED = 0.02;  // seconds; what arrives sooner than that tells nothing about speed
const UNREACHABLE = "The server cannot be reached.";

async function request(path, {apiKey, ...options}) {
  const headers = {"Content-Type": "application/json"};
  if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
  let response;
  try {
    response = await fetch(path, {...options, headers, cache: "no-store"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // not JSON, perhaps from a proxy: the status must do
  }
  return new ApiError(error.message || `The server answered ${response.status} ${response.statusText}`.trim(), {
    status: response.status,
    code: error.code ?? "",
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

// The id of the model that the server has loaded.
export async function modelName(apiKey) {
  const list = await (await request("v1/models", {apiKey})).json();
  return list.data?.[0]?.id ?? "";
}

// Answers a conversation. `onText(piece, stats)` gets the answer as it comes. Resolves to {finish, stats}; stats
// are {first, seconds, tokens, speed}: time to the first token and since then in seconds, tokens per second (0: unknown).
export async function answer({model, messages, settings, apiKey, signal, onText}) {
  const started = performance.now();
  const stats = {first: 0, seconds: 0, tokens: 0, speed: 0};
  const response = await request("v1/chat/completions", {
    method: "POST",
    apiKey,
    signal,
    body: JSON.stringify({
      model,
      messages,
      stream: true,
      stream_options: {include_usage: true},
      temperature: settings.temperature,
      max_tokens: settings.maxTokens,
    }),
  });

  let finish = null;
  const tick = () => {
    stats.seconds = (performance.now() - started) / 1000 - stats.first;
    const measured = stats.tokens > 1 && stats.seconds > SHORTEST_MEASURED;
    stats.speed = measured ? (stats.tokens - 1) / stats.seconds : 0;
  };
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return {finish, stats};
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, {code: chunk.error.code ?? ""});
      const choice = chunk.choices?.[0];
      if (choice?.delta?.content) {
        if (stats.tokens === 0) stats.first = (performance.now() - started) / 1000;
        stats.tokens += 1;
        tick();
        onText(choice.delta.content, stats);
      }
      if (choice?.finish_reason) finish = choice.finish_reason;
      // A piece may be less or more than a token; the server's count is the right one.
      if (chunk.usage) {
        stats.tokens = chunk.usage.completion_tokens;
        tick();
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("The connection broke off.");
  }
  throw new ApiError("The connection ended before the answer did.");
}
