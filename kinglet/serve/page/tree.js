// The picture of one tree, as in the report of a run: layers from top to bottom, thoughts by score, the way to the answer.

// The name space as the browser knows it; written out it would look like an address.
const svgName = new DOMParser().parseFromString("<svg/>", "text/html").querySelector("svg").namespaceURI;
const across = 30;
const down = 52;
const margin = 20;
const longestLabel = 24;
const longestTip = 600;

function svg(name, attributes, text) {
  const made = document.createElementNS(svgName, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Leaves side by side, parents over the middle of their children. Children have higher numbers than their parents.
function place(thoughts) {
  const nodes = thoughts.map((thought) => ({ thought, parent: null, layer: 0, x: 0, children: [], path: false }));
  nodes.forEach((node, number) => {
    const parent = node.thought.parent;
    if (!(parent >= 0 && parent < number)) return;
    node.parent = nodes[parent];
    node.layer = node.parent.layer + 1;
    node.parent.children.push(node);
  });
  let next = margin;
  const settle = (node) => {
    if (node.children.length === 0) {
      node.x = next;
      next += across;
      return;
    }
    node.children.forEach(settle);
    node.x = (node.children[0].x + node.children.at(-1).x) / 2;
  };
  nodes.filter((node) => !node.parent).forEach(settle);
  return nodes;
}

function markPath(nodes) {
  let at = nodes.findLast(({ thought }) => thought.kept && ["close", "answer"].includes(thought.kind));
  for (; at; at = at.parent) at.path = true;
}

const top = (node) => margin + down * node.layer;

function lookOf({ thought, path }) {
  const failed = thought.kind === "answer" && !thought.kept && !thought.text;
  let look = "live";
  if (thought.note?.startsWith("dropped") || failed) look = "bad";
  else if (!thought.kept || thought.kind === "refusal") look = "cut";
  else if (path) look = "won";
  return thought.corrected ? `${look} fixed` : look;
}

function labelOf({ thought }) {
  const lines = thought.text.split(" (left")[0].trim().split("\n");
  const line = thought.kind === "answer" ? lines.at(-1) : lines[0];
  return line.length > longestLabel ? `${line.slice(0, longestLabel)}\u2026` : line;
}

function tipOf(thought) {
  const score = thought.score === undefined ? "" : `\nscore ${Number(thought.score).toPrecision(4)}`;
  return `${thought.text.slice(0, longestTip)}${score}${thought.note ? `\n${thought.note}` : ""}`;
}

function branch(node) {
  const from = top(node.parent);
  const to = top(node);
  const middle = (from + to) / 2;
  const kind = node.path ? "branch won" : node.thought.kept ? "branch" : "branch cut";
  return svg("path", { class: kind, d: `M${node.parent.x} ${from}C${node.parent.x} ${middle} ${node.x} ${middle} ${node.x} ${to}` });
}

function circle(node, largest) {
  const score = node.thought.score;
  const share = largest > 0 && score !== undefined ? Math.min(1, Math.max(0, score / largest)) : 0.2;
  const group = svg("g", { class: "thought" });
  group.append(svg("circle", { class: lookOf(node), cx: node.x, cy: top(node), r: 4 + 5 * share }),
               svg("title", {}, tipOf(node.thought)));
  return group;
}

// `active`: the tree has ended and votes, so that there is a way to its answer.
export function drawTree(thoughts, active) {
  const nodes = place(thoughts);
  if (active) markPath(nodes);
  const labelled = nodes.filter((node) => node.path || node.thought.kind === "root");
  const width = Math.max(2 * margin, ...nodes.map((node) => node.x + margin),
                         ...labelled.map((node) => node.x + 20 + 6.5 * labelOf(node).length));
  const height = 2 * margin + down * Math.max(0, ...nodes.map((node) => node.layer));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const largest = Math.max(0, ...nodes.map((node) => node.thought.score ?? 0));
  picture.append(...nodes.filter((node) => node.parent).map(branch), ...nodes.map((node) => circle(node, largest)),
                 ...labelled.map((node) => svg("text", { x: node.x + 11, y: top(node) - 8 }, labelOf(node))));
  return picture;
}
