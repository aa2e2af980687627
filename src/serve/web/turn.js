// One question with its answer, as data for the API and as an element of the page.

export class Turn {
  // `pictures` as readPicture gives them.
  constructor(text, pictures) {
    this.text = text;
    this.pictures = pictures;
    this.answer = "";
    this.element = document.getElementById("turn").content.cloneNode(true).firstElementChild;
    this.find(".question .text").textContent = text;
    for (const picture of pictures) {
      const image = new Image();
      image.src = picture.url;
      image.alt = picture.name;
      const item = document.createElement("li");
      item.append(image);
      this.find(".pictures").append(item);
    }
    this.find(".pictures").hidden = pictures.length === 0;
    this.find(".copy").addEventListener("click", (event) => this.copy(event.currentTarget));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  // The turn in the words of the API.
  messages() {
    const content =
      this.pictures.length === 0
        ? this.text
        : [
            ...this.pictures.map(({url}) => ({type: "image_url", image_url: {url}})),
            {type: "text", text: this.text},
          ];
    const question = {role: "user", content};
    return this.answer ? [question, {role: "assistant", content: this.answer}] : [question];
  }

  // Before the first word: says what is awaited, and since when.
  wait(what = this.pictures.length > 0 ? "Looking at the picture" : "Thinking") {
    this.answer = "";
    this.find(".answer .text").textContent = "";
    this.find(".note").hidden = true;
    this.find(".stats").hidden = true;
    this.find(".waiting").hidden = false;
    this.showButtons(false);
    const since = performance.now();
    const show = () => {
      const seconds = (performance.now() - since) / 1000;
      this.find(".what").textContent = seconds < 1 ? what : `${what}, ${seconds.toFixed(0)} s`;
    };
    show();
    clearInterval(this.clock);
    this.clock = setInterval(show, 250);
  }

  append(piece, stats) {
    clearInterval(this.clock);
    this.find(".waiting").hidden = true;
    this.answer += piece;
    this.find(".answer .text").append(piece);
    this.showStats(stats);
  }

  // `note` says why the answer is not whole, if it is not.
  finish(stats, note = "") {
    clearInterval(this.clock);
    this.find(".waiting").hidden = true;
    this.answer = this.answer.trim();
    this.find(".answer .text").textContent = this.answer;
    this.find(".note").textContent = note;
    this.find(".note").hidden = note === "";
    if (stats) this.showStats(stats);
    this.showButtons(true);
  }

  showButtons(visible) {
    this.find(".copy").hidden = !visible || this.answer === "";
    this.find(".again").hidden = !visible;
  }

  showStats({first, speed, tokens}) {
    this.find(".stats").hidden = tokens === 0;
    this.find(".first").textContent = first < 1 ? `${(first * 1000).toFixed(0)} ms` : `${first.toFixed(1)} s`;
    this.find(".speed").parentElement.hidden = speed === 0;
    this.find(".speed").textContent = `${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s`;
    this.find(".count").textContent = tokens === 1 ? "1 token" : `${tokens} tokens`;
  }

  async copy(button) {
    const done = await copyText(this.answer);
    button.classList.toggle("done", done);
    setTimeout(() => button.classList.remove("done"), 1500);
    this.element.dispatchEvent(
      new CustomEvent("say", {bubbles: true, detail: done ? "Copied" : "The browser does not let this page copy"}),
    );
  }
}

// The clipboard's interface exists only on https and on this computer; the old command works elsewhere too.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
