// The page: pictures and questions in, answers out.
import {setUpCamera} from "./camera.js";
import {answer, ApiError, modelName} from "./client.js";
import {readExample, readPicture} from "./pictures.js";
import {openSettings, settings, setUpSettings} from "./settings.js";
import {Turn} from "./turn.js";

const byId = (id) => document.getElementById(id);
const question = byId("question");

const MOST_PICTURES = 8;    // of one question
const PATIENCE = 5;         // times a busy server is asked again
const LONGEST_PAUSE = 20;   // seconds between two of them
const NEAR_THE_END = 120;   // pixels from the end of the page: new words are followed

let model = "";
let turns = [];
let pictures = [];   // of the question being written
let running = null;  // AbortController of the answer that is coming

// For screen readers: said once, politely.
function say(text) {
  byId("status").textContent = "";
  requestAnimationFrame(() => (byId("status").textContent = text));
}

// One line above the question, with at most one thing to do about it: {label, run}.
function showNotice(text, action) {
  const notice = byId("notice");
  const button = notice.querySelector(".action");
  notice.querySelector("p").textContent = text;
  button.hidden = !action;
  button.textContent = action?.label ?? "";
  button.onclick = () => {
    hideNotice();
    action.run();
  };
  notice.hidden = false;
}
function hideNotice() {
  byId("notice").hidden = true;
}

function showError(error, again) {
  if (error.status === 401 || error.status === 403) {
    showNotice(settings.apiKey ? "The server does not accept this API key." : "This server asks for an API key.", {
      label: "Enter a key",
      run: () => openSettings("api-key"),
    });
  } else if (error.code === "context_length_exceeded" && turns.length > 0) {
    showNotice("The conversation has grown too long for the model.", {
      label: "New conversation",
      run: () => newConversation({keepQuestion: true}),
    });
  } else {
    showNotice(error.message, again);
  }
}

async function connect() {
  const pill = byId("model");
  try {
    model = await modelName(settings.apiKey);
    pill.dataset.state = "ready";
    pill.querySelector(".name").textContent = model;
  } catch (error) {
    model = "";
    pill.dataset.state = "error";
    pill.querySelector(".name").textContent = error.status === 401 ? "API key needed" : "not connected";
    showError(error, {label: "Connect again", run: connect});
  }
}

// --- pictures of the question ---

async function addPictures(read) {
  if (read.length === 0) return;
  hideNotice();
  for (const one of read) {
    if (pictures.length >= MOST_PICTURES) {
      showNotice(`At most ${MOST_PICTURES} pictures go with one question.`);
      break;
    }
    try {
      const picture = await one();
      pictures.push(picture);
      say(`${picture.name} added`);
    } catch (error) {
      showNotice(error.message);
    }
  }
  showPictures();
  question.focus();
}
const addFiles = (files) => addPictures([...files].map((file) => () => readPicture(file)));

function showPictures() {
  const list = byId("attached");
  list.replaceChildren(
    ...pictures.map((picture) => {
      const item = byId("attachment").content.cloneNode(true).firstElementChild;
      const remove = item.querySelector("button");
      item.querySelector("img").src = picture.url;
      item.querySelector("img").alt = picture.name;
      remove.setAttribute("aria-label", `Remove ${picture.name}`);
      remove.title = "Remove";
      remove.addEventListener("click", () => {
        pictures = pictures.filter((other) => other !== picture);
        showPictures();
        say(`${picture.name} removed`);
        question.focus();
      });
      return item;
    }),
  );
  list.hidden = pictures.length === 0;
  showSend();
}

// --- questions and answers ---

function showSend() {
  byId("send").hidden = running !== null;
  byId("stop").hidden = running === null;
  byId("send").disabled = question.value.trim() === "";
  question.placeholder = pictures.length > 0 || turns.length > 0 ? "Ask about the picture" : "Add a picture, then ask about it";
}

function fitQuestion() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function setQuestion(text) {
  question.value = text;
  fitQuestion();
  showSend();
}

function followEnd() {
  const page = document.scrollingElement;
  if (page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_THE_END) page.scrollTop = page.scrollHeight;
}

function ask() {
  const text = question.value.trim();
  if (text === "" || running) return;
  hideNotice();
  const turn = new Turn(text, pictures);
  turn.find(".again").addEventListener("click", () => {
    if (!running) run(turn);
  });
  turns.push(turn);
  byId("log").append(turn.element);
  byId("welcome").hidden = true;
  byId("new").hidden = false;
  pictures = [];
  showPictures();
  setQuestion("");
  run(turn);
}

// Only the last turn can be answered again: what follows would no longer fit.
function markLast() {
  turns.forEach((turn, i) => turn.element.classList.toggle("last", i === turns.length - 1));
}

async function run(turn) {
  const controller = new AbortController();
  running = controller;
  turn.wait();
  markLast();
  showSend();
  document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight;
  let stats = null;
  const onText = (piece, now) => {
    stats = {...now};
    turn.append(piece, stats);
    followEnd();
  };
  try {
    const result = await answerPatiently(turn, controller.signal, onText);
    const cut = result.finish === "length" ? "Cut short: the answer reached its longest length." : "";
    turn.finish(result.stats, turn.answer.trim() === "" ? "The model said nothing." : cut);
    say(`Answer: ${turn.answer} ${cut}`);
  } catch (error) {
    const stopped = error.name === "AbortError";
    if (!turns.includes(turn)) return turn.finish(stats);  // a new conversation has begun: only the clock must stop
    if (turn.answer !== "") {
      turn.finish(stats, stopped ? "Stopped." : error.message);
      say(stopped ? "Stopped" : error.message);
    } else {
      takeBack(turn);
      if (!stopped) showError(error, {label: "Try again", run: ask});
    }
    if (!stopped && !(error instanceof ApiError)) throw error;
  } finally {
    if (running === controller) running = null;
    showSend();
    followEnd();
  }
}

// A busy server says when to come back.
async function answerPatiently(turn, signal, onText) {
  const messages = turns.slice(0, turns.indexOf(turn) + 1).flatMap((each) => each.messages());
  if (settings.system) messages.unshift({role: "system", content: settings.system});
  for (let attempt = 1; ; ++attempt) {
    try {
      return await answer({model, messages, settings, apiKey: settings.apiKey, signal, onText});
    } catch (error) {
      const busy = (error.status === 429 || error.status === 503) && attempt < PATIENCE;
      if (!busy) throw error;
      turn.wait("The server is busy, waiting for a place");
      await pause(Math.min(Math.max(error.retryAfter, 1), LONGEST_PAUSE), signal);
      turn.wait();
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// A question without an answer goes back to where it was written, nothing is lost.
function takeBack(turn) {
  turn.finish(null);
  turn.element.remove();
  turns = turns.filter((other) => other !== turn);
  if (question.value.trim() === "") setQuestion(turn.text);
  pictures = [...turn.pictures, ...pictures].slice(0, MOST_PICTURES);
  showPictures();
  markLast();
  if (turns.length === 0) {
    byId("welcome").hidden = false;
    byId("new").hidden = true;
  }
}

function newConversation({keepQuestion = false} = {}) {
  turns = [];
  running?.abort();
  running = null;
  hideNotice();
  byId("log").replaceChildren();
  byId("welcome").hidden = false;
  byId("new").hidden = true;
  if (!keepQuestion) {
    pictures = [];
    setQuestion("");
  }
  showPictures();
  say("New conversation");
  question.focus();
}

// --- wiring ---

function setUpQuestion() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  question.addEventListener("input", () => {
    fitQuestion();
    showSend();
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running && !document.querySelector("dialog[open]")) stop();
  });
  byId("stop").addEventListener("click", stop);
  byId("new").addEventListener("click", () => newConversation());
  byId("notice").querySelector(".close").addEventListener("click", () => {
    hideNotice();
    question.focus();
  });
  byId("log").addEventListener("say", (event) => say(event.detail));
}

function stop() {
  running?.abort();
  question.focus();
}

function setUpPictures() {
  for (const [button, input] of [["attach", "file"], ["drop", "file"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
  }
  for (const id of ["file", "photo"]) {
    byId(id).addEventListener("change", async (event) => {
      const files = [...event.target.files];
      event.target.value = "";  // the same file may be chosen again
      await addFiles(files);
    });
  }
  setUpCamera(addFiles, showNotice);
  for (const button of document.querySelectorAll(".example")) {
    button.addEventListener("click", async () => {
      if (running) return;
      pictures = [];
      await addPictures([() => readExample(button.dataset.picture)]);
      setQuestion(button.querySelector("span").textContent);
      if (pictures.length > 0) ask();
    });
  }
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (files.length === 0 || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    addFiles(files);
  });
}

// Files may be dropped anywhere; a curtain says so while they hover.
function setUpDrop() {
  let depth = 0;  // dragenter and dragleave come for every element on the way
  const show = (change) => {
    depth = Math.max(0, change === 0 ? 0 : depth + change);
    byId("curtain").hidden = depth === 0;
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => holdsFiles(event) && show(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && show(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    show(0);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    addFiles(event.dataTransfer.files);
  });
}

setUpSettings(connect);
setUpQuestion();
setUpPictures();
setUpDrop();
showPictures();
connect();
if (matchMedia("(pointer: fine)").matches) question.focus();
