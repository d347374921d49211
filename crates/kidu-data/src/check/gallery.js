(() => {
  const form = document.getElementById("filters");
  const value = (id) => document.getElementById(id).value;
  const cards = [...document.querySelectorAll("article")];
  const has = (list, wanted) => !wanted || list.split("|").includes(wanted);
  const update = () => {
    const [severity, kind, klass, split] = ["severity", "kind", "class", "split"].map(value);
    const part = value("path").toLowerCase();
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
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  // Left and right go from finding to finding.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = document.activeElement;
    if (!step || here.tagName !== "ARTICLE") return;
    const shown = cards.filter((card) => !card.hidden);
    const next = shown[shown.indexOf(here) + step];
    if (next) { next.focus(); event.preventDefault(); }
  });
  update();
})();
