"use strict";
// What a reader gains with a script: a leaderboard that sorts, a gallery that filters, a post at full size.
// Without one the page reads the same. Texts of posts and names of runs are untrusted: they are copied as nodes or
// set as textContent, and nothing here parses markup. The policy of the page lets this script run by its SHA-256.

(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const told = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const ASCENDING = "ascending";
  const DESCENDING = "descending";

  function makeButton(label) {
    const button = document.createElement("button");
    button.type = "button";
    if (label) button.setAttribute("aria-label", label);
    return button;
  }

  // Tables

  /** What a row is sorted by: the number of a cell's first <data>, null where it is missing; or the cell's text. */
  function sortKey(row, column, kind) {
    const cell = row.cells[column];
    if (kind === "text") return told(cell.querySelector(".name") ?? cell);
    const value = cell.querySelector("data")?.value ?? "";
    return value === "" ? null : Number(value);
  }

  /** Rows in a new order: equal ones stay as they stand, missing numbers are last in both directions. */
  function sortRows(body, column, kind, direction) {
    const sign = direction === ASCENDING ? 1 : -1;
    const words = new Intl.Collator("en", { numeric: true });
    const rows = [...body.rows].map((row) => ({ row, key: sortKey(row, column, kind) }));
    rows.sort(({ key: a }, { key: b }) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (kind === "text" ? words.compare(a, b) : a - b);
    });
    body.append(...rows.map(({ row }) => row));
  }

  /** A button in each head with `data-sort`: "text", "up" or "down", the direction that a number is first sorted in. */
  function makeSortable(table, status) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const kind = head.dataset.sort;
      if (!kind) return;
      const button = makeButton();
      button.append(...head.childNodes);
      head.append(button);
      if ("sorted" in head.dataset) head.setAttribute("aria-sort", head.dataset.sorted);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const turned = before === ASCENDING ? DESCENDING : ASCENDING;
        const direction = before ? turned : kind === "down" ? DESCENDING : ASCENDING;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction);
        sortRows(table.tBodies[0], column, kind, direction);
        status.textContent = `Sorted by ${told(head)}, ${direction}`;
      });
    });
  }

  // Gallery

  const folded = (text) => text.normalize("NFKC").toLowerCase();

  function readCard(item, place) {
    const said = item.querySelector(".whole") ?? item.querySelector(".said p");
    return {
      item,
      place,
      name: told(item.querySelector("h4")),
      text: said.textContent,
      group: item.closest(".kind"),
      rows: all(item, ".strip tr"),
      truth: Number(item.querySelector(".rate data").value),
    };
  }

  /** How far a run's prediction is from the truth, as a rate. */
  function errorOf(card, run) {
    return Math.abs(Number(card.rows[run].querySelector("data").value) - card.truth);
  }

  /** Each kind's posts by the error of one run, the greatest first; by default as they came. */
  function orderCards(cards, run) {
    const keyed = cards.map((card) => ({ card, key: run === null ? 0 : errorOf(card, run) }));
    keyed.sort((a, b) => b.key - a.key || a.card.place - b.card.place);
    for (const { card } of keyed) {
      card.group.querySelector(".cards").append(card.item);
      card.rows.forEach((row, place) => row.classList.toggle("picked", place === run));
      if (run !== null) card.rows[run].closest("details")?.setAttribute("open", "");
    }
  }

  /** Cards that lack a word, or are of another kind, get the class "out": it hides them on screen, not in print. */
  function filterCards(cards, kind, typed) {
    const words = folded(typed).split(/\s+/).filter(Boolean);
    const groups = new Set(cards.map((card) => card.group));
    for (const card of cards) {
      card.folded ??= folded(`${card.name}\n${card.text}`);
      const wanted = (kind === "" || card.group.dataset.kind === kind) && words.every((word) => card.folded.includes(word));
      card.item.classList.toggle("out", !wanted);
    }
    for (const group of groups) group.classList.toggle("out", !group.querySelector(".card:not(.out)"));
    return cards.filter((card) => !card.item.classList.contains("out")).length;
  }

  function makeFilter(section, cards) {
    const bar = section.querySelector(".filter");
    const [kind, run] = all(bar, "select");
    const typed = bar.querySelector("input");
    const status = bar.querySelector("[role=status]");
    const filter = () => {
      const shown = filterCards(cards, kind.value, typed.value);
      status.textContent = shown ? `${shown} of ${cards.length} posts shown` : "No post matches";
    };
    const order = () => orderCards(cards, run.value === "" ? null : Number(run.value));
    kind.addEventListener("change", filter);
    typed.addEventListener("input", filter);
    run.addEventListener("change", order);
    bar.querySelector("button").addEventListener("click", () => {
      kind.value = typed.value = run.value = "";
      filter();
      order();
    });
    filter();
    order(); // a browser that goes back restores what was chosen
    bar.hidden = false;
  }

  // One post

  function fillViewer(viewer, card, position) {
    const text = document.createElement("p");
    text.className = "whole";
    text.dir = "auto";
    text.textContent = card.text;
    const kept = all(card.item, ".said small, .rate, .span, .strip").map((node) => node.cloneNode(true));
    const picture = card.item.querySelector(".thumb").cloneNode(true);
    const stage = viewer.querySelector(".stage");
    stage.style.cssText = card.item.style.cssText; // where the truth stands on the tracks
    stage.replaceChildren(picture, text, ...kept);
    stage.scrollTop = 0;
    viewer.querySelector("h3").textContent = card.name;
    viewer.querySelector(".position").textContent = position;
  }

  /** Opens posts in a dialog; the arrow keys go round those that the filter shows, Escape closes it. */
  function makeViewer(section, cards) {
    const viewer = section.querySelector("dialog");
    const byItem = new Map(cards.map((card) => [card.item, card]));
    let current = null;
    const show = (card) => {
      const shown = all(section, ".card:not(.out)");
      current = card;
      const kind = told(card.group.querySelector("h3"));
      fillViewer(viewer, card, `${shown.indexOf(card.item) + 1} of ${shown.length} · ${kind}`);
      if (!viewer.open) viewer.showModal();
    };
    const move = (by) => {
      const shown = all(section, ".card:not(.out)");
      show(byItem.get(shown[(shown.indexOf(current.item) + by + shown.length) % shown.length]));
    };
    for (const card of cards) {
      const thumb = card.item.querySelector(".thumb");
      card.button = makeButton(`Open post ${card.name}`);
      card.button.className = "open";
      thumb.replaceWith(card.button);
      card.button.append(thumb);
      card.button.addEventListener("click", () => show(card));
    }
    const [previous, next, close] = all(viewer, ".bar button");
    previous.addEventListener("click", () => move(-1));
    next.addEventListener("click", () => move(1));
    close.addEventListener("click", () => viewer.close());
    viewer.addEventListener("click", (event) => event.target === viewer && viewer.close()); // beside the post
    viewer.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      move(by);
    });
    viewer.addEventListener("close", () => current.button.focus());
  }

  for (const table of all(document, "table.sortable")) {
    makeSortable(table, table.closest("section").querySelector("[role=status]"));
  }
  for (const section of all(document, "section.gallery")) {
    const cards = all(section, ".card").map(readCard);
    makeFilter(section, cards);
    makeViewer(section, cards);
  }
})();
