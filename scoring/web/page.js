"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Tables: a click on a column's name sorts by it, another one the other way round.
  const sortBy = (table, column, head) => {
    const up = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort");
    const value = (row) => {
      const cell = row.cells[column];
      const given = cell.dataset.v ?? cell.textContent;
      return given === "" || given === "-" ? null : Number.isNaN(Number(given)) ? given : Number(given);
    };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // nothing comes last
      const found = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? found : -found;
    };
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...all("tr", table.tBodies[0]).sort(order));
  };
  all("table.sortable").forEach((table) =>
    all("thead th", table).forEach((head, column) =>
      head.querySelector("button").addEventListener("click", () => sortBy(table, column, head))));

  // The legend hides a submission in every chart, and shows it over the others.
  const drawn = (place) => all(`main svg:not(.swatch):not(.bar) [data-s="${place}"], .rho [data-s="${place}"]`);
  all("[data-hide]").forEach((button) => {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      drawn(button.dataset.hide).forEach((part) => part.classList.toggle("off", !shown));
    });
    const light = (on) => () => {
      all("main svg:not(.swatch):not(.bar)").forEach((svg) => svg.classList.toggle("faded", on));
      drawn(button.dataset.hide).forEach((part) => part.classList.toggle("hot", on));
    };
    button.addEventListener("pointerenter", light(true));
    button.addEventListener("pointerleave", light(false));
    button.addEventListener("focus", light(true));
    button.addEventListener("blur", light(false));
  });

  // Tooltips at once, in place of the browser's own slow ones.
  const tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  tip.hidden = true;
  all("svg title").forEach((title) => {
    title.parentNode.dataset.tip = title.textContent;
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  });
  const show = (text, event) => {
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4))}px`;
    tip.style.top = `${event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 16}px`;
  };
  document.addEventListener("pointermove", (event) => show(event.target.closest?.("[data-tip]")?.dataset.tip, event));
  document.addEventListener("pointerleave", () => show("", null));

  // rho at a tau: by the slider, or by pointing at the profiles.
  const slider = document.getElementById("tau");
  const chart = document.querySelector("svg.profile");
  const line = document.getElementById("tau-line");
  const edges = { left: 52, right: 748, width: 760 };
  const update = () => {
    const tau = Number(slider.value);
    document.getElementById("tau-value").textContent = tau.toFixed(2);
    const x = edges.left + ((edges.right - edges.left) * (tau - 1)) / (Number(slider.max) - 1);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    const workloads = Number(document.querySelector(".rho").dataset.workloads);
    all("[data-ratios]").forEach((output) => {
      const within = output.dataset.ratios.split(" ").filter((ratio) => ratio && Number(ratio) <= tau);
      output.textContent = (within.length / workloads).toFixed(3);
    });
  };
  slider.addEventListener("input", update);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * edges.width;
    const share = Math.min(1, Math.max(0, (x - edges.left) / (edges.right - edges.left)));
    slider.value = 1 + share * (Number(slider.max) - 1);
    update();
  });
  update();
})();
