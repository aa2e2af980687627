// Before anything is painted: the chosen appearance, else the system's. Not a module, so that it blocks.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("appearance");
  } catch {
    // no storage: the system's
  }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
