"use strict";
// The browser for samples. Texts of models, judges and benchmarks reach the page as text nodes alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("samples");
  const form = section.querySelector("form");
  const fields = form.elements;
  const list = section.querySelector(".list");
  const shown = section.querySelector(".sample");
  const MARKS = { right: "✓", wrong: "✗" };
  const COLORS = 8;
  let found = [];
  let place = 0;

  function make(tag, name, ...children) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children);
    return element;
  }

  function fill(select, values) {
    for (const [value, text] of values) {
      const option = make("option", "", text);
      option.value = value;
      select.append(option);
    }
  }

  const outcome = (sample, system) => (sample.answers[system] ? sample.answers[system].outcome : "absent");
  const counts = (said) => said === "right" || said === "wrong";

  function matches(sample, system, wanted) {
    const said = outcome(sample, system);
    if (!wanted) return true;
    return wanted === "unscored" ? !counts(said) && said !== "scored" && said !== "absent" : said === wanted;
  }

  function wanted(sample) {
    const [first, second] = [Number(fields.first.value), Number(fields.second.value)];
    const other = fields["second-outcome"].value;
    const flips = other === "flip";
    const [a, b] = [outcome(sample, first), outcome(sample, second)];
    return (
      (!fields.benchmark.value || sample.benchmark === Number(fields.benchmark.value)) &&
      (!fields.type.value || sample.type === fields.type.value) &&
      matches(sample, first, fields["first-outcome"].value) &&
      (flips ? counts(a) && counts(b) && a !== b : matches(sample, second, other)) &&
      fields.search.value.toLowerCase().split(/\s+/).every((word) => sample.text.includes(word))
    );
  }

  const number = (sample, said) => sample.answers.filter((answer) => answer && answer.outcome === said).length;
  const ORDERS = {
    type: (a, b) => a.type.localeCompare(b.type),
    video: (a, b) => a.video.localeCompare(b.video),
    split: (a, b) => Math.min(number(b, "right"), number(b, "wrong")) - Math.min(number(a, "right"), number(a, "wrong")),
    wrong: (a, b) => number(b, "wrong") - number(a, "wrong"),
  };

  function marks(sample) {
    const row = make("span", "marks");
    sample.answers.forEach((answer, system) => {
      const said = outcome(sample, system);
      const mark = make("span", `verdict ${said}`, MARKS[said] || "–");
      mark.title = `${data.systems[system]}: ${said}`;
      row.append(mark);
    });
    return row;
  }

  function update() {
    found = data.samples.filter(wanted);
    const order = ORDERS[fields.sort.value];
    if (order) found.sort(order);
    list.replaceChildren(
      ...found.map((sample, at) => {
        const button = make("button", "", marks(sample), make("span", "asked", sample.question));
        button.type = "button";
        button.addEventListener("click", () => show(at));
        return make("li", "", button);
      }),
    );
    const all = data.samples.length;
    section.querySelector(".count").textContent = `${found.length} of ${all} ${all === 1 ? "sample" : "samples"}`;
    show(0, false);
  }

  function show(at, focus = true) {
    place = Math.max(0, Math.min(at, found.length - 1));
    const buttons = list.querySelectorAll("button");
    buttons.forEach((button, other) => {
      if (other === place) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.tabIndex = other === place ? 0 : -1;
    });
    const button = buttons[place];
    if (button) {
      if (focus) button.focus({ preventScroll: true });
      const above = button.offsetTop - list.offsetTop;
      if (above < list.scrollTop) list.scrollTop = above;
      const below = above + button.offsetHeight - list.clientHeight;
      if (below > list.scrollTop) list.scrollTop = below;
    }
    shown.replaceChildren(...(found.length ? detail(found[place]) : [make("p", "note", "No sample is like this.")]));
  }

  function strip(sample) {
    const { frames, problem } = data.videos[sample.strip];
    if (!frames.length) return make("p", "note", `The frames are not shown: ${problem}`);
    const images = frames.map(([seconds, uri], at) => {
      const image = make("img");
      image.src = uri;
      image.alt = `Frame ${at + 1} of ${frames.length}, at ${seconds.toFixed(1)} s`;
      image.title = `${seconds.toFixed(1)} s`;
      return image;
    });
    return make("div", "strip", ...images);
  }

  function answered(answer, system) {
    const name = make("p", "who", make("span", `swatch s${system % COLORS}`), data.systems[system]);
    if (!answer) return make("div", "answer", name, make("p", "note", "was not asked this"));
    const said = answer.outcome;
    name.append(make("span", `verdict ${said}`, `${MARKS[said] || "–"} ${said}`));
    const block = make("div", "answer", name, make("p", "text", answer.said === null ? "" : answer.said.trim() || "(nothing)"));
    if (answer.words.trim()) block.append(make("blockquote", "text words", answer.words.trim()));
    if (answer.notes.length) block.append(make("p", "note", answer.notes.join(" · ")));
    return block;
  }

  function detail(sample) {
    const parts = [strip(sample), make("h3", "question text", sample.question)];
    if (sample.options.length) parts.push(make("ol", "options", ...sample.options.map((one) => make("li", "", one))));
    parts.push(make("p", "text", make("span", "sub", "expected "), sample.reference));
    parts.push(...sample.answers.map(answered));
    const from = data.benchmarks.length > 1 ? `${data.benchmarks[sample.benchmark]} · ` : "";
    parts.push(make("p", "note", `${from}${sample.type ? `${sample.type} · ` : ""}${sample.video} · ${sample.id}`));
    return parts;
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inList = list.contains(event.target);
    if (event.key === "Escape" && form.contains(event.target)) show(place);
    else if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    else if (event.key === "/") {
      fields.search.focus();
      fields.search.select();
    } else if (event.key === "j" || (inList && (event.key === "ArrowDown" || event.key === "ArrowRight"))) show(place + 1);
    else if (event.key === "k" || (inList && (event.key === "ArrowUp" || event.key === "ArrowLeft"))) show(place - 1);
    else if (inList && event.key === "Home") show(0);
    else if (inList && event.key === "End") show(found.length - 1);
    else return;
    event.preventDefault();
  }

  for (const sample of data.samples) {
    const said = sample.answers.map((answer) => (answer ? `${answer.said || ""} ${answer.words}` : ""));
    sample.text = [sample.question, sample.reference, sample.video, sample.id, sample.type, ...sample.options, ...said]
      .join("\n")
      .toLowerCase();
  }
  const systems = data.systems.map((name, at) => [String(at), name]);
  fill(fields.first, systems);
  fill(fields.second, systems);
  fields.second.value = String(Math.min(1, systems.length - 1));
  fill(fields.benchmark, data.benchmarks.map((name, at) => [String(at), name]));
  fields.benchmark.closest("label").hidden = data.benchmarks.length < 2;
  const types = [...new Set(data.samples.map((sample) => sample.type))].filter(Boolean).sort();
  fill(fields.type, types.map((name) => [name, name]));
  fields.type.closest("label").hidden = types.length < 2;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", update);
  document.addEventListener("keydown", key);
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  section.querySelector(".unscripted").remove();
  for (const hidden of section.querySelectorAll("[hidden]:not(label)")) hidden.hidden = false;
  update();
})();
