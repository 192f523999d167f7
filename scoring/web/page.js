"use strict";
(() => {
  document.documentElement.classList.add("js");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  all("button:disabled").forEach((button) => (button.disabled = false));

  // Tables: a click on a column's name sorts by it, another one the other way round.
  const value = (cell) => {
    const given = cell?.dataset.v ?? cell?.textContent.trim() ?? "";
    if (given === "" || given === "-" || given === "·") return null;
    const number = Number(given.replaceAll(",", ""));
    return Number.isNaN(number) ? given : number;
  };
  const compare = (x, y) => {
    if (typeof x === "number" && typeof y === "number") return x - y;
    return String(x).localeCompare(String(y), "en", { numeric: true });
  };
  const sortBy = (table, column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const order = (a, b) => {
      const [x, y] = [value(a.cells[column]), value(b.cells[column])];
      if (x === null || y === null) return (x === null) - (y === null); // nothing comes last
      return up ? compare(x, y) : compare(y, x);
    };
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  };
  all("table.sortable").forEach((table) =>
    all("thead th", table).forEach((head, column) =>
      head.querySelector("button").addEventListener("click", () => sortBy(table, column, head))));

  // The legend hides a submission in every chart, and shows it over the others.
  const parts = (place) => all(`main [data-s="${place}"]`);
  const light = (place, on) => {
    all("main svg, .rho").forEach((drawn) => drawn.classList.toggle("faded", on));
    parts(place).forEach((part) => part.classList.toggle("hot", on));
  };
  all("[data-hide]").forEach((button) => {
    const place = button.dataset.hide;
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      parts(place).forEach((part) => part.classList.toggle("off", !shown));
      light(place, shown);
    });
    const shown = () => button.getAttribute("aria-pressed") === "true";
    button.addEventListener("pointerenter", () => light(place, shown()));
    button.addEventListener("pointerleave", () => light(place, false));
    button.addEventListener("focus", () => light(place, shown() && button.matches(":focus-visible")));
    button.addEventListener("blur", () => light(place, false));
  });

  // Tooltips at once, in place of the browser's own slow ones.
  const tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  tip.hidden = true;
  const winners = all("table.winners tbody tr").map((row) => row.cells[row.cells.length - 1].textContent);
  all("svg title").forEach((title) => {
    const drawn = title.parentNode;
    const name = drawn.closest("[data-name]")?.dataset.name;
    const point = drawn.dataset.w ? `; ${winners[drawn.dataset.w]}` : "";
    drawn.dataset.tip = `${name ? `${name}, ` : ""}${title.textContent}${point}`;
    title.remove();
    if (!drawn.matches(".line, .thin > path")) return;
    // Lines are too thin to point at: a wide one that is not seen lies on them.
    const wide = drawn.cloneNode();
    wide.classList.add("hit");
    drawn.after(wide);
  });
  const show = (event) => {
    const text = event.target.closest?.("[data-tip]")?.dataset.tip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const below = event.clientY + 16 + box.height <= innerHeight;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4))}px`;
    tip.style.top = `${below ? event.clientY + 16 : event.clientY - box.height - 10}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show); // a finger does not move first
  document.documentElement.addEventListener("pointerleave", () => (tip.hidden = true));
  ["wheel", "touchmove"].forEach((kind) =>
    document.addEventListener(kind, () => (tip.hidden = true), { passive: true }));
  document.addEventListener("keydown", (event) => event.key === "Escape" && (tip.hidden = true));

  // rho at a tau: by the slider, or by pointing at the profiles.
  const slider = document.getElementById("tau");
  const chart = document.querySelector("svg.profile");
  const line = document.getElementById("tau-line");
  const [left, right] = [Number(slider.dataset.left), Number(slider.dataset.right)];
  const outputs = all("[data-ratios]").map((output) => ({
    output, ratios: output.dataset.ratios.split(" ").filter(Boolean).map(Number),
  }));
  const workloads = Number(document.querySelector(".rho").dataset.workloads);
  const update = () => {
    const tau = Number(slider.value);
    document.getElementById("tau-value").textContent = tau.toFixed(2);
    const x = left + ((right - left) * (tau - 1)) / (Number(slider.max) - 1);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    outputs.forEach(({ output, ratios }) => {
      const within = ratios.filter((ratio) => ratio <= tau).length;
      output.textContent = `${(within / workloads).toFixed(3)} (${within} of ${workloads})`;
    });
  };
  slider.addEventListener("input", update);
  const point = (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const share = Math.min(1, Math.max(0, (x - left) / (right - left)));
    slider.value = 1 + share * (Number(slider.max) - 1);
    update();
  };
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  update();
})();
