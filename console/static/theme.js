// A plain blocking script, so that the right theme is there before the first paint. prefs.js switches it later.
// Dark is the control room's default; a person's own choice comes first, then what the system asks for.
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("patrolgrid.theme");
  } catch {
    /* storage is forbidden: keep the default */
  }
  const light = chosen ? chosen === "light" : matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = light ? "light" : "dark";
})();
