// The page: the sliders, the buttons of the sweep, the boxes. interpreter.js computes the numbers.
"use strict";

const spec = JSON.parse(document.getElementById("spec").textContent);
const graph = new Graph(spec);
const recorded = spec.nodes.map((node) => Number(node.data ?? NaN));  // the leaves' numbers
const LAST = spec.nodes.length;

// The state: a number for each leaf, and how many steps are done (null: show the whole sweep).
const state = {leaves: [...recorded], step: null};
let pointedAt = null;  // the node pointed at
let traced = null;  // the nodes on its paths
let held = null;    // the leaf whose slider or number box is in use
let shown;          // what was computed last

const $ = (id) => document.getElementById(id);
const svg = $("graph");
const rows = spec.inputs.map(({node, key}) => {
  const [slider, box] = [$(`slider${node}`), $(`box${node}`)];
  return {node, key, slider, box, low: Number(slider?.min), high: Number(slider?.max)};
});

// ---- Drawing: only what has changed is written to the DOM, which is slow ------------------------

const attribute = (element, name, value) => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
};
const text = (element, value) => {
  if (element.textContent === value) return;
  if (element.childNodes.length === 1) element.firstChild.nodeValue = value;  // the fastest way
  else element.textContent = value;
};
const visible = (element, isVisible) => (
  attribute(element, "visibility", isVisible ? "visible" : "hidden"));
// A text that is longer than its box has room for is set narrower.
const fitted = (element, room, length) => {
  if (length > room) attribute(element, "textLength", String(Math.round(room * 6.6)));
  else element.removeAttribute("textLength");
};

const inView = {nodes: [], arrows: []};
const boxes = spec.nodes.map((node, i) => {
  const group = $(`n${i}`);
  const line = (name) => group.querySelector(`.${name}`);
  const gradient = line("gradient");
  const amount = gradient?.querySelector(".number");
  return {group, value: line("value"), gradient, amount, remark: line("remark")};
});
const arrows = spec.nodes.flatMap((node, i) => node.in.map((operand) => ({node: i, operand})));
arrows.forEach((arrow, e) => {
  arrow.forward = $(`f${e}`);
  arrow.back = $(`b${e}`);
  arrow.line = arrow.back?.querySelector("path");
  arrow.label = arrow.back?.querySelector("text");
});

// The boxes of nodes whose number is another one in Python say so.
const outdated = spec.nodes.flatMap(({outdated}, i) => (outdated ? [[i, spec.outdated]] : []));

const FEW = 80;  // nodes; in a larger graph, what is out of view is drawn when nothing moves any more

function render(isAll = LAST <= FEW) {
  const evaluation = graph.evaluate(state.leaves);
  const isLost = evaluation.lost.size > 0;
  const sweep = graph.sweep(evaluation.values, isLost ? 0 : state.step ?? LAST);
  const current = state.step && !isLost ? graph.root + 1 - state.step : -1;
  const remarks = new Map([...outdated, ...graph.firsts(evaluation)]);
  shown = {...evaluation, sweep, isLost, current, remarks, ...graph.boxesAndArrows(evaluation, sweep)};
  draw(isAll);
  for (const row of rows) {
    const {node, slider, box, low, high} = row;
    const x = state.leaves[node];
    if (Object.is(row.shown, x)) continue;  // writing to a control is slow even if nothing changes
    row.shown = x;
    if (slider) {
      attribute(slider, "min", String(x < low ? Math.floor(x) : low));
      attribute(slider, "max", String(x > high ? Math.ceil(x) : high));
      slider.value = String(x);
    }
    if (document.activeElement !== box) box.value = boxed(x);
  }
  text($("sentence"), sentence(evaluation, sweep));
  $("sentence").classList.toggle("wrong", isLost || sweep.errors.size > 0);
  const all = LAST === 1 ? "the one step" : `all ${LAST} steps`;
  text($("position"), state.step === null ? all : `step ${state.step} of ${LAST}`);
  // Not `disabled`, because a button that has just been pressed would lose the focus.
  for (const name of ["back", "first"]) attribute($(name), "aria-disabled", String(state.step === 0));
  attribute($("last"), "aria-disabled", String(state.step === LAST));
  showRegimes(isLost, evaluation.values);
  if (pointedAt !== null) showNode(pointedAt);
}

function draw(isAll) {
  spec.nodes.forEach((_, i) => { if (isAll || inView.nodes[i]) drawBox(i, isAll); });
  arrows.forEach((_, e) => { if (isAll || inView.arrows[e]) drawArrow(e, isAll); });
}

function drawBox(i, isAll = false) {
  const {group, value, gradient, amount, remark} = boxes[i];
  const {errors, lost, values, sweep, isLost, current} = shown;
  const box = shown.boxes[i];
  const kinds = ["node", spec.nodes[i].kind];
  if (!isLost && box.state) kinds.push(box.state);
  if (i === current) kinds.push("current");
  if (i === held) kinds.push("held");
  if (errors.has(i) || sweep.errors.has(i)) kinds.push("failed");
  if (!inView.nodes[i]) kinds.push("out");
  if (traced !== null && traced.has(i)) kinds.push("lit");
  attribute(group, "class", kinds.join(" "));
  if (!isAll && isFar) return;  // nobody can read it
  attribute(group, "data-case", String(box.case));
  attribute(group, "data-value", lost.has(i) ? "" : String(values[i]));
  attribute(group, "data-gradient", box.gradient && String(sweep.totals[i]));
  text(value, box.value);
  fitted(value, spec.nodes[i].room, box.value.length);
  text(remark, shown.remarks.get(i) ?? "");
  if (!gradient) return;
  text(amount, box.afterSymbol);
  fitted(amount, 13, box.gradient.replace(" so far", "").length + 3);
  visible(gradient, box.gradient !== "");
  attribute(gradient, "class", sweep.totals[i] === 0 ? "gradient zero" : "gradient");
}

function drawArrow(e, isAll) {
  const {node, operand, forward, back, line, label} = arrows[e];
  const {isLost, current} = shown;
  const look = shown.arrows[e];
  let kinds = node === current ? " current" : "";
  if (!inView.arrows[e]) kinds += " out";
  if (traced !== null && traced.has(node) && traced.has(operand)) kinds += " lit";
  attribute(forward, "class", (look.quiet && !isLost ? "forward quiet" : "forward") + kinds);
  if (!back) return;
  visible(back, look.back !== "" && !isLost);
  attribute(back, "class", `back ${look.back}${kinds}`);
  attribute(line, "stroke-width", look.width);
  if (isAll || !isFar) text(label, look.text);
}

// The sentence below the graph: what is wrong, or what print(step) says.
function sentence({values, errors}, sweep) {
  const wrong = [...errors.values(), ...sweep.errors.values()];
  if (wrong.length) return wrong.map((error) => error.message).join("\n");
  if (state.step === 0) return spec.opening;
  if (state.step) return graph.sentence(sweep.steps[state.step - 1], values);
  const inputs = rows.map(({node}) => node).filter((node) => spec.nodes[node].op === "leaf");
  return graph.outcome(values, sweep.totals, inputs, spec.most);
}

// The regime of each max, relu and abs; if there are many, of those nearest to the root.
const kinked = spec.nodes.map((_, i) => i).filter((i) => graph.rows[i]?.cases).slice(-spec.most);
const regimes = kinked.map(() => $("regimes").appendChild(document.createElement("p")));

function showRegimes(isLost, values) {
  $("regimes").hidden = isLost || state.step !== null || kinked.length === 0;
  if ($("regimes").hidden) return;
  kinked.forEach((i, k) => text(
    regimes[k], `${spec.nodes[i].heading} ${graph.reason(i, values)}`));
}

// ---- The node pointed at ----------------------------------------------------------------------

const users = spec.nodes.map(() => []);
arrows.forEach(({node, operand}) => users[operand].push(node));

// All nodes on the paths from i to the root.
function onPaths(i) {
  const found = new Set([i]);
  for (const node of found) users[node].forEach((user) => found.add(user));
  return found;
}

function about(i) {
  const {values, errors, lost, sweep} = shown;
  const node = spec.nodes[i];
  const exact = {precision: 12};
  const hasSlider = rows.some((row) => row.node === i);
  const constant = hasSlider ? "a constant, which its slider sets" : "a constant";
  const what = {leaf: `${node.name}, an input`, constant: `${node.name}, ${constant}`}[node.op]
    ?? node.heading.replace(/:$/, "");
  const lines = [what, lost.has(i) ? "no value" : `value ${number(values[i], exact)}`];
  lines.push(...[node.outdated ?? shown.remarks.get(i)].filter(Boolean));
  for (const error of [errors.get(i), sweep.errors.get(i)]) if (error) lines.push(error.message);
  if (node.op !== "constant" && !lost.has(graph.root)) {
    const isDone = sweep.handed[i] !== undefined;
    const slope = Number.isNaN(sweep.totals[i]) ? "does not exist"
      : `= ${number(sweep.totals[i], exact)}`;
    lines.push(`gradient ${node.slope} ${slope}${isDone ? "" : " so far"}`);
  }
  if (lost.has(i)) return lines;
  const {slopes, error} = graph.localDerivatives(i, values);
  slopes.forEach((x, place) => {
    const slope = `∂${node.inside}/∂${spec.nodes[node.in[place]].inside}`;
    lines.push(`local derivative ${slope} ${error ? "does not exist" : `= ${number(x, exact)}`}`);
  });
  return lines;
}

function showNode(i) {
  const lines = about(i);
  text($("node"), lines.join("\n"));
  attribute(boxes[i].group, "aria-label", lines.join(", "));
}

function point(i) {
  leave(i);
  draw(true);
  if (pointedAt !== null) showNode(pointedAt);
}

// Point at another node, or none, without drawing.
function leave(i = null) {
  pointedAt = i;
  traced = i === null ? null : onPaths(i);
  document.body.classList.toggle("tracing", i !== null);
}

function nodeOf({target}) {
  const group = target.closest(".node");
  return group ? Number(group.id.slice(1)) : null;
}

let tabbed = graph.root;
boxes.forEach(({group}, i) => group.setAttribute("tabindex", i === tabbed ? "0" : "-1"));

function focusNode(i) {
  boxes[tabbed].group.setAttribute("tabindex", "-1");
  tabbed = i;
  boxes[tabbed].group.setAttribute("tabindex", "0");
  boxes[tabbed].group.focus();
}

svg.addEventListener("pointerover", (event) => {
  const i = nodeOf(event);
  if (i !== null) point(i);
});
svg.addEventListener("pointerout", (event) => {
  if (event.pointerType !== "touch" && nodeOf(event) !== null) point(nodeOf({target: document.activeElement}));
});
svg.addEventListener("click", (event) => {
  const i = nodeOf(event);
  if (i === null) point(null);
  else focusNode(i);
});
svg.addEventListener("focusin", (event) => point(nodeOf(event)));
svg.addEventListener("focusout", () => point(null));

// ---- Controls ---------------------------------------------------------------------------------

let isDue = false;
function renderSoon() {  // draw at most once a frame, however many events come
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    render();
  });
}

// When nothing moves any more: draw what is out of view, and tell screen readers.
let resting;
function rest(after) {
  clearTimeout(resting);
  resting = setTimeout(() => {
    svg.classList.remove("moving");
    draw(true);
    boxes.forEach(({group}, i) => attribute(group, "aria-label", about(i).join(", ")));
    const seen = regimes.filter((line) => line.offsetParent !== null);
    text($("said"), [$("position"), $("sentence"), ...seen].map((line) => line.textContent).join("\n"));
  }, after);
}

function set(node, x) {
  if (!Number.isFinite(x)) return;
  state.leaves[node] = x;
  hold(node);
  if (LAST > FEW) svg.classList.add("moving");
  rest(400);
  renderSoon();
  remember();
}

// Highlight the leaf whose slider or number box is in use.
function hold(node) {
  if (held === node) return;
  const before = held;
  held = node;
  for (const i of [before, held]) if (i !== null) drawBox(i);
  if (held !== null) reveal(held);
}

for (const row of rows) {
  row.slider?.addEventListener("input", () => set(row.node, row.slider.valueAsNumber));
  row.box.addEventListener("input", () => set(row.node, row.box.valueAsNumber));
  row.box.addEventListener("change", () => { row.box.value = boxed(state.leaves[row.node]); });
  for (const control of [row.slider, row.box]) {
    control?.addEventListener("focus", () => hold(row.node));
    control?.addEventListener("blur", () => hold(null));
  }
}

function go(step) {
  state.step = step;
  leave();
  render();
  reveal(placeOf(step));
  rest(100);
}

function move(step) {
  go(step);
  remember();
}

const moves = {
  first: () => move(0),
  back: () => move(Math.max((state.step ?? LAST + 1) - 1, 0)),
  // After the last step comes the whole picture, then the start.
  forward: () => move(state.step === LAST ? null : (state.step ?? 0) + 1),
  last: () => move(LAST),
};
for (const [name, press] of Object.entries(moves)) $(name).addEventListener("click", press);

$("reset").addEventListener("click", () => {
  state.leaves = [...recorded];
  move(null);
});

const keys = {Home: "first", ArrowLeft: "back", ArrowRight: "forward", End: "last"};
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input")) return;
  if (event.key === "Escape") {
    event.target.closest(".node")?.blur();
    point(null);
  } else if (event.key in keys) {
    if (event.repeat && state.step === null) return;  // a key that is held down stops at the end
    moves[keys[event.key]]();
    event.preventDefault();
  } else if (event.target.closest(".node") && /^Arrow(Up|Down)$/.test(event.key)) {
    const next = tabbed + (event.key === "ArrowUp" ? -1 : 1);
    if (boxes[next]) focusNode(next);
    event.preventDefault();
  }
});

// ---- The address: #s=0.3&s_c=0.5&step=2 -------------------------------------------------------

const PLAIN_NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function address() {
  const parts = new URLSearchParams();
  for (const {node, key} of rows) {
    const [x, isInput] = [state.leaves[node], spec.nodes[node].op === "leaf"];
    if (Number.isFinite(x) && (isInput || x !== recorded[node])) parts.set(key, String(x));
  }
  if (state.step !== null) parts.set("step", String(state.step));
  return `#${parts}`.replaceAll("+", "%20");
}

let written = 0;
let pending;
function remember() {  // browsers limit how often an address may change
  clearTimeout(pending);
  const wait = Math.max(0, written + 350 - Date.now());
  if (wait > 0) {
    pending = setTimeout(remember, wait);
    return;
  }
  written = Date.now();
  try {
    history.replaceState(null, "", address());
  } catch {
    // A notebook's frame has no address of its own.
  }
}

// Set the state from the address; ignore what makes no sense. A plus is a plus, but some programs
// write it for a space.
function recall() {
  const said = location.hash.slice(1);
  const parts = new URLSearchParams(said.replaceAll("+", "%2B"));
  const spaced = new URLSearchParams(said);
  state.leaves = [...recorded];
  for (const {node, key} of rows) {
    const x = (parts.get(key) ?? spaced.get(key))?.trim().replace(" ", "+");
    if (PLAIN_NUMBER.test(x) && Number.isFinite(Number(x))) state.leaves[node] = Number(x);
  }
  for (const {node, box} of rows) box.value = boxed(state.leaves[node]);
  const step = parts.get("step");
  go(/^\d{1,9}$/.test(step) && Number(step) <= LAST ? Number(step) : null);
}
window.addEventListener("hashchange", recall);

// ---- The size of the picture ------------------------------------------------------------------

let arrangement = "wide";
function arrange(name) {  // "wide": from left to right; "tall": from top to bottom, on a phone
  if (name === arrangement) return;
  arrangement = name;
  const {size, nodes, edges} = spec.layouts[name];
  svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  nodes.forEach(([x, y], i) => boxes[i].group.setAttribute("transform", `translate(${x} ${y})`));
  edges.forEach(([forward, tip, back, backTip, x, y], e) => {
    const place = (group, line, head) => {
      group.querySelector("path").setAttribute("d", line);
      group.querySelector("polygon").setAttribute("points", head);
    };
    place(arrows[e].forward, forward, tip);
    if (!arrows[e].back) return;
    place(arrows[e].back, back, backTip);
    arrows[e].label.setAttribute("x", x);
    arrows[e].label.setAttribute("y", y);
  });
}

const READABLE = 0.42;  // a picture smaller than that is an overview, without its texts
let isFar = false;
let isWhole = false;    // show the whole graph, however small
let scale = 1;

function fit() {
  const width = $("picture").clientWidth;
  const height = Math.max(300, 0.56 * window.innerHeight);
  const largest = ({size}) => Math.min(width / size[0], height / size[1]);
  const names = Object.keys(spec.layouts);
  names.sort((a, b) => largest(spec.layouts[b]) - largest(spec.layouts[a]));
  arrange(names[0]);
  const layout = spec.layouts[names[0]];
  const whole = Math.min(largest(layout), 3);
  // A picture that would be too small to read is drawn larger and scrolls, unless the reader asks
  // for the whole graph.
  const least = Math.max(0.85, width / 1600);
  $("whole").hidden = whole >= least;
  scale = isWhole || whole >= least ? whole : width < 760 ? least : Math.max(1, width / 1350);
  svg.setAttribute("width", (layout.size[0] * scale).toFixed(0));
  svg.setAttribute("height", (layout.size[1] * scale).toFixed(0));
  // The picture stays at the top of the window. What gets the focus must not end up behind it.
  document.documentElement.style.scrollPaddingTop = `${$("picture").offsetHeight}px`;
  look();
}
window.addEventListener("resize", () => {
  fit();
  reveal(held ?? placeOf(state.step));
});

$("whole").addEventListener("click", () => {
  isWhole = !isWhole;
  attribute($("whole"), "aria-pressed", String(isWhole));
  fit();
  reveal(held ?? placeOf(state.step), true);
});

// Find what is in view. If the picture is too small to read, its texts are left out.
function look() {
  isFar = scale * (window.visualViewport?.scale ?? 1) < READABLE;
  svg.classList.toggle("far", isFar);
  const frame = $("picture").getBoundingClientRect();
  const {left, top} = svg.getBoundingClientRect();
  const {nodes} = spec.layouts[arrangement];
  const near = 140;  // half the width of a box, and some more
  const overlap = (a, b, low, high) => (
    Math.max(a, b) > low / scale - near && Math.min(a, b) < high / scale + near);
  // Whether the rectangle between two points, given in the picture's own units, is in view.
  const isNear = ([ax, ay], [bx, by]) => (
    overlap(ax, bx, frame.left - left, frame.right - left)
    && overlap(ay, by, frame.top - top, frame.bottom - top));
  nodes.forEach((centre, i) => {
    inView.nodes[i] = isNear(centre, centre);
    boxes[i].group.classList.toggle("out", !inView.nodes[i]);
  });
  arrows.forEach(({node, operand, forward, back}, e) => {
    inView.arrows[e] = isNear(nodes[operand], nodes[node]);
    for (const part of [forward, back]) part?.classList.toggle("out", !inView.arrows[e]);
  });
}

function lookAgain() {
  look();
  draw(false);
}
$("picture").addEventListener("scroll", lookAgain, {passive: true});
window.visualViewport?.addEventListener("resize", lookAgain);

const placeOf = (step) => (step === null ? graph.root : Math.min(graph.root + 1 - step, graph.root));

// Scroll the picture, not the page, to a box: as little as possible, or until it is level with it.
function reveal(i, isLevel = false) {
  const frame = $("picture").getBoundingClientRect();
  const box = boxes[i].group.getBoundingClientRect();
  const beyond = (low, high, from, to) => Math.max(high - to, 0) || Math.min(low - from, 0);
  if (isLevel) $("picture").scrollBy(0, box.top + box.bottom - frame.top - frame.bottom >> 1);
  $("picture").scrollBy(
    beyond(box.left - 20, box.right + 20, frame.left, frame.right),
    beyond(box.top - 20, box.bottom + 20, frame.top, frame.bottom));
}

for (const part of document.querySelectorAll("[inert]")) part.removeAttribute("inert");
fit();
recall();
reveal(placeOf(state.step), true);
