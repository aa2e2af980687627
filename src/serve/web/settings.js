// What the user may set, kept in the browser: the API key as long as the tab, the rest for good.
const DEFAULTS = {temperature: 0, maxTokens: 512, system: "", appearance: "system"};
const byId = (id) => document.getElementById(id);

// Storage may be forbidden; then everything holds until the page is closed.
function stored(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}
function store(storage, key, value) {
  try {
    if (value) window[storage].setItem(key, value);
    else window[storage].removeItem(key);
  } catch {
    // not kept, but used
  }
}

function readAll() {
  let kept = {};
  try {
    kept = JSON.parse(stored("localStorage", "settings") ?? "{}") ?? {};
  } catch {
    // not ours: the defaults
  }
  const all = {...DEFAULTS};
  if (Number.isFinite(kept.temperature)) all.temperature = kept.temperature;
  if (Number.isInteger(kept.maxTokens) && kept.maxTokens > 0) all.maxTokens = kept.maxTokens;
  if (typeof kept.system === "string") all.system = kept.system;
  all.appearance = stored("localStorage", "appearance") ?? "system";
  all.apiKey = stored("sessionStorage", "apiKey") ?? "";
  return all;
}

export const settings = readAll();

function save(changes) {
  Object.assign(settings, changes);
  const {temperature, maxTokens, system} = settings;
  store("localStorage", "settings", JSON.stringify({temperature, maxTokens, system}));
  store("localStorage", "appearance", settings.appearance === "system" ? "" : settings.appearance);
  store("sessionStorage", "apiKey", settings.apiKey);
  showAppearance();
}

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (settings.appearance === "system" ? darkSystem.matches : settings.appearance === "dark");

function showAppearance() {
  if (settings.appearance === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.appearance;
  const label = isDark() ? "Light appearance" : "Dark appearance";
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
}

function showForm(values) {
  byId("temperature").value = values.temperature;
  byId("max-tokens").value = values.maxTokens;
  byId("system").value = values.system;
  byId("appearance").value = values.appearance;
  showTemperature();
}
function showTemperature() {
  document.querySelector("output[for=temperature]").value = Number(byId("temperature").value).toFixed(1);
}

// Opens the dialog, at one of its fields if `field` names it.
export function openSettings(field) {
  showForm(settings);
  byId("api-key").value = settings.apiKey;
  byId("settings").showModal();
  if (field) byId(field).focus();
}

// Wires the dialog and the button for dark and light; `onSaved` is called after each Save.
export function setUpSettings(onSaved) {
  const dialog = byId("settings");
  byId("open-settings").addEventListener("click", () => openSettings());
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();  // beside the dialog
  });
  dialog.querySelector("form").addEventListener("submit", () => {
    save({
      temperature: Number(byId("temperature").value),
      maxTokens: Number(byId("max-tokens").value),
      system: byId("system").value.trim(),
      apiKey: byId("api-key").value.trim(),
      appearance: byId("appearance").value,
    });
    onSaved();
  });
  byId("defaults").addEventListener("click", () => showForm(DEFAULTS));
  byId("temperature").addEventListener("input", showTemperature);
  byId("theme").addEventListener("click", () => save({appearance: isDark() ? "light" : "dark"}));
  darkSystem.addEventListener("change", showAppearance);
  showAppearance();
}
