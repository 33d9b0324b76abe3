// Tokens as a reader sees them: tinted by their probability, with what else might have come.

const decoder = new TextDecoder("utf-8", { fatal: true });
const alternatives = new WeakMap(); // of the element of a token: the tokens that it shows

function textOf(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

function joined(tokens) {
  return Uint8Array.from(tokens.flatMap((token) => [...token.bytes]));
}

// Puts the tokens of one answer into an element. Tokens that are parts of one character share an element.
export class TokenText {
  constructor(element) {
    this.element = element;
    this.held = [];
  }
  add(tokens) {
    for (const token of tokens) {
      this.held.push(token);
      const text = textOf(joined(this.held));
      if (text !== null) this.show(text);
    }
  }
  finish() {
    if (this.held.length > 0) this.show(new TextDecoder().decode(joined(this.held)));
  }
  show(text) {
    const span = document.createElement("span");
    span.className = "token";
    span.textContent = text;
    const probability = Math.min(...this.held.map((token) => Math.exp(token.logprob)));
    span.style.setProperty("--p", probability.toFixed(4));
    span.dataset.p = probability.toFixed(4);
    alternatives.set(span, this.held);
    this.held = [];
    this.element.append(span);
  }
}

function visible(text) {
  return text.replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5").replaceAll(" ", "\u00b7") || "\u2205";
}

function percent(probability) {
  if (probability >= 0.9995) return "100 %";
  return probability >= 0.001 ? `${(probability * 100).toFixed(1)} %` : "< 0.1 %";
}

function row(text, logprob, taken) {
  const line = document.createElement("tr");
  line.className = taken ? "taken" : "";
  const name = document.createElement("code");
  name.textContent = visible(text);
  const bar = document.createElement("i");
  bar.style.width = `${(Math.exp(logprob) * 100).toFixed(1)}%`;
  for (const [content, kind] of [[name, ""], [bar, "bar"], [percent(Math.exp(logprob)), "share"]]) {
    const cell = document.createElement("td");
    cell.className = kind;
    cell.append(content);
    line.append(cell);
  }
  return line;
}

function fill(tip, span) {
  const table = document.createElement("table");
  for (const token of alternatives.get(span)) {
    const others = token.top.filter((one) => one.text !== token.text);
    const rows = [{ text: token.text, logprob: token.logprob, taken: true }, ...others];
    rows.sort((a, b) => b.logprob - a.logprob);
    table.append(...rows.map((one) => row(one.text, one.logprob, one.taken)));
  }
  tip.replaceChildren(table);
}

function place(tip, span) {
  const at = span.getClientRects()[0] ?? span.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8));
  const above = at.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : at.bottom + 6}px`;
}

// Shows a token's alternatives in `tip`: under the mouse, and with the arrow keys inside an answer that has the focus.
export function explainTokens(log, tip) {
  let chosen = null;
  const choose = (span) => {
    chosen?.classList.remove("chosen");
    chosen = span;
    tip.hidden = !span;
    if (!span) return;
    span.classList.add("chosen");
    fill(tip, span);
    place(tip, span);
  };
  const tokenAt = (target) => (target instanceof Element ? target.closest(".token") : null);
  log.addEventListener("mouseover", (event) => choose(tokenAt(event.target)));
  log.addEventListener("mouseleave", () => choose(null));
  log.addEventListener("scroll", () => choose(null));
  log.addEventListener("focusout", () => choose(null));
  log.addEventListener("keydown", (event) => {
    const text = event.target.closest?.(".tokens");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!text || !step) return;
    event.preventDefault();
    const spans = [...text.querySelectorAll(".token")];
    const next = chosen && text.contains(chosen) ? spans.indexOf(chosen) + step : 0;
    if (spans[next]) {
      spans[next].scrollIntoView({ block: "nearest" });
      requestAnimationFrame(() => choose(spans[next]));
    }
  });
  return () => choose(null);
}
