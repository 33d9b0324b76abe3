// The page: a conversation, its settings, and one answer at a time.
import { ForestView } from "/forest.js";
import { generate, listModels } from "/stream.js";
import { TokenText, explainTokens } from "/tokens.js";

const $ = (id) => document.getElementById(id);
const log = $("log");
const state = { messages: [], stopper: null };
const hideTip = explainTokens(log, $("tip"));

function element(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}

function addTurn(role) {
  $("welcome")?.remove();
  const turn = element("div", `turn ${role}`);
  const text = element("div", "text");
  turn.append(text);
  log.append(turn);
  return { turn, text };
}

// Follows the end of the conversation unless the reader has scrolled away from it.
function following(change) {
  const near = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  change();
  if (near) log.scrollTop = log.scrollHeight;
}

function settings() {
  const whole = (id) => ($(id).value === "" ? undefined : Math.trunc(Number($(id).value)));
  const common = { temperature: Number($("temperature").value), max_tokens: whole("max-tokens"), seed: whole("seed") };
  const mode = $("mode").value;
  const reasoning = mode !== "reason" ? null : {
    trees: whole("trees"), base: $("base").value || undefined, task: $("task").value, trace: true,
  };
  return { common, probabilities: $("probabilities").checked && !reasoning, chat: mode !== "text", reasoning };
}

function requestFor(prompt, { common, probabilities, chat, reasoning }) {
  if (!chat) {
    return { path: "/v1/completions", body: { prompt, ...common, ...(probabilities ? { logprobs: 5 } : {}) } };
  }
  const system = $("system").value.trim();
  const messages = [...(system ? [{ role: "system", content: system }] : []), ...state.messages];
  // A puzzle is a question of its own; other questions may go on with what was said.
  if (reasoning?.task === "game24") return { path: "/v1/chat/completions", body: { messages: messages.slice(-1), ...common, reasoning } };
  if (reasoning) return { path: "/v1/chat/completions", body: { messages, ...common, reasoning } };
  const asked = probabilities ? { logprobs: true, top_logprobs: 5 } : {};
  return { path: "/v1/chat/completions", body: { messages, ...common, ...asked } };
}

function factsOf(times, usage, finish) {
  const facts = [];
  const tokens = usage?.completion_tokens ?? times.tokens;
  if (tokens) facts.push(`${tokens} tokens`);
  const seconds = (times.last - times.first) / 1000;
  if (tokens > 1 && seconds > 0) facts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
  if (times.first) facts.push(`first after ${(times.first - times.begin).toFixed(0)} ms`);
  if (usage?.prompt_tokens) {
    const cached = usage.prompt_tokens_details?.cached_tokens;
    facts.push(`prompt ${usage.prompt_tokens}${cached ? ` (${cached} cached)` : ""}`);
  }
  if (finish === "length") facts.push("cut at the limit");
  if (finish === "stopped") facts.push("stopped");
  return facts.join("  \u00b7  ");
}

function setBusy(busy) {
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  document.body.dataset.state = busy ? "busy" : "done";
}

async function receive(stream, view, times) {
  const tokens = new TokenText(view.text);
  let answer = "";
  let finish = null;
  let usage = null;
  try {
    for await (const piece of stream) {
      finish = piece.finish ?? finish;
      usage = piece.usage ?? usage;
      if (piece.reasoning) {
        following(() => (view.forest ??= new ForestView(view.text, following)).take(piece.reasoning));
      }
      if (!piece.text && piece.tokens.length === 0) continue;
      times.last = performance.now();
      times.first ||= times.last;
      times.tokens += Math.max(1, piece.tokens.length);
      answer += piece.text;
      following(() => {
        view.turn.classList.remove("waiting");
        if (piece.tokens.length > 0) tokens.add(piece.tokens);
        else view.text.append(piece.text);
      });
    }
  } catch (problem) {
    if (problem.name !== "AbortError") throw Object.assign(problem, { answer });
    finish = "stopped";
  } finally {
    tokens.finish();
  }
  return { answer, finish, usage };
}

function showProblem(view, problem) {
  following(() => view.turn.append(element("p", "facts problem", problem.message)));
  if (problem.status === 401) {
    $("settings").hidden = false;
    $("key").placeholder = "This server needs one";
    $("key").focus();
  }
  if (problem.code === "no_chat_template") $("mode").value = "text";
  modeChanged();
}

async function send(prompt) {
  if (!prompt.trim() || state.stopper) return;
  hideTip();
  const asked = settings();
  if (asked.chat) {
    addTurn("user").text.textContent = prompt;
    state.messages.push({ role: "user", content: prompt });
  }
  const view = addTurn("assistant");
  view.turn.classList.add("waiting");
  view.turn.classList.toggle("plain", !asked.probabilities);
  view.text.classList.add("tokens");
  view.text.tabIndex = 0;
  view.text.setAttribute("aria-label", "Answer; arrow keys walk through its tokens");
  if (!asked.chat) view.text.append(element("span", "given", prompt));
  log.scrollTop = log.scrollHeight;
  state.stopper = new AbortController();
  setBusy(true);
  const times = { begin: performance.now(), first: 0, last: 0, tokens: 0 };
  const request = requestFor(prompt, asked);
  try {
    const stream = generate(request.path, request.body, $("key").value, state.stopper.signal);
    const { answer, finish, usage } = await receive(stream, view, times);
    if (asked.chat) state.messages.push({ role: "assistant", content: answer });
    following(() => view.turn.append(element("p", "facts", factsOf(times, usage, finish))));
  } catch (problem) {
    if (asked.chat) state.messages.pop(); // so that the message can be sent again
    if (!$("prompt").value) $("prompt").value = prompt;
    showProblem(view, problem);
    document.body.dataset.problem = problem.message;
  } finally {
    view.turn.classList.remove("waiting");
    state.stopper = null;
    setBusy(false);
    $("prompt").focus();
  }
}

function startAnew() {
  state.stopper?.abort();
  state.messages = [];
  hideTip();
  log.replaceChildren();
  $("prompt").focus();
}

function growPrompt() {
  const field = $("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function modeChanged() {
  const mode = $("mode").value;
  $("system-label").hidden = mode === "text";
  $("reasoning").hidden = mode !== "reason";
  const puzzle = mode === "reason" && $("task").value === "game24";
  $("prompt").placeholder = { chat: "Message", text: "The beginning of a text", reason: "Question" }[mode];
  if (puzzle) $("prompt").placeholder = "Four numbers, for example 4 9 10 13";
}

function listen() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const prompt = $("prompt").value;
    if (!prompt.trim() || state.stopper) return;
    $("prompt").value = "";
    growPrompt();
    send(prompt);
  });
  $("prompt").addEventListener("input", growPrompt);
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") state.stopper?.abort();
  });
  $("stop").addEventListener("click", () => state.stopper?.abort());
  $("new").addEventListener("click", startAnew);
  for (const id of ["mode", "task"]) $(id).addEventListener("change", modeChanged);
  $("temperature").addEventListener("input", showTemperature);
  $("key").addEventListener("change", () => {
    sessionStorage.setItem("key", $("key").value);
    showModel();
  });
  $("settings-button").addEventListener("click", () => {
    $("settings").hidden = !$("settings").hidden;
    $("settings-button").setAttribute("aria-expanded", String(!$("settings").hidden));
  });
}

function showTemperature() {
  $("temperature-value").value = Number($("temperature").value).toFixed(2);
}

async function showModel() {
  try {
    const models = await listModels($("key").value);
    const [model] = models;
    const forests = models.filter((one) => one.id.startsWith("fot-"));
    $("mode").querySelector("[value=reason]").disabled = forests.length === 0;
    if (forests.length === models.length) { // it does nothing else
      for (const other of ["chat", "text"]) $("mode").querySelector(`[value=${other}]`).disabled = true;
      $("mode").value = "reason";
      modeChanged();
    }
    $("model").textContent = model.id;
    document.title = `${model.id} \u2013 Kinglet`;
  } catch (problem) {
    $("model").textContent = problem.status === 401 ? "needs an API key" : "cannot be reached";
  }
}

// "/?prompt=Hello&temperature=0&seed=1" asks at once: for links and for tests.
function readAddress() {
  const given = new URLSearchParams(location.search);
  for (const [name, id] of [["system", "system"], ["temperature", "temperature"], ["max_tokens", "max-tokens"],
                            ["seed", "seed"], ["mode", "mode"], ["trees", "trees"],
                            ["base", "base"], ["task", "task"]]) {
    if (given.has(name)) $(id).value = given.get(name);
  }
  if (given.has("probabilities")) $("probabilities").checked = given.get("probabilities") !== "0";
  return given.get("prompt");
}

$("key").value = sessionStorage.getItem("key") ?? "";
listen();
if (matchMedia("(max-width: 50rem)").matches) {
  $("settings").hidden = true;
  $("settings-button").setAttribute("aria-expanded", "false");
}
const asked = readAddress();
showTemperature();
modeChanged();
$("prompt").focus();
showModel().then(() => {
  if (asked) send(asked); // the model may have decided the mode
});
