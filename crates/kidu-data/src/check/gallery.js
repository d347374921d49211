(() => {
  const form = document.getElementById("filters");
  const value = (id) => document.getElementById(id).value;
  const cards = [...document.querySelectorAll("article")];
  // Without findings there is nothing to filter.
  if (!cards.length) return;
  const has = (list, wanted) => !wanted || list.split("\n").includes(wanted);
  const update = () => {
    const [severity, kind, klass, split] = ["severity", "kind", "class", "split"].map(value);
    const part = value("path").trim().toLowerCase();
    let count = 0;
    for (const card of cards) {
      const data = card.dataset;
      const shown = (!severity || data.severity === severity) && has(data.classes, klass) && has(data.splits, split)
        && (!kind || card.closest("section").dataset.kind === kind) && data.paths.toLowerCase().includes(part);
      card.hidden = !shown;
      count += shown;
    }
    for (const section of document.querySelectorAll("section")) {
      section.hidden = !section.querySelector("article:not([hidden])");
    }
    document.getElementById("count").textContent = count + " of " + cards.length + " shown";
  };
  // A link to a kind that the filters hide shows everything again.
  const reveal = () => {
    const section = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!section || !section.hidden) return;
    form.reset();
    update();
    section.scrollIntoView();
  };
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  // Browsers put back what was chosen before a reload or a step back.
  window.addEventListener("pageshow", update);
  window.addEventListener("hashchange", reveal);
  for (const link of document.querySelectorAll("#summary a")) {
    // A second click on the same link changes no hash.
    link.addEventListener("click", () => setTimeout(reveal));
  }
  // Left, right, Home and End go from finding to finding, Escape back to the filters.
  document.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    if (here.tagName !== "ARTICLE" || event.altKey || event.ctrlKey || event.metaKey) return;
    const shown = cards.filter((card) => !card.hidden);
    const place = shown.indexOf(here);
    const next = {
      ArrowRight: shown[place + 1],
      ArrowLeft: shown[place - 1],
      Home: shown[0],
      End: shown[shown.length - 1],
      Escape: document.getElementById("severity"),
    }[event.key];
    if (next) { next.focus(); event.preventDefault(); }
  });
  update();
})();
