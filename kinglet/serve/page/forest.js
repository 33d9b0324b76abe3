// A forest of reasoning trees while it grows: drawn from the events that the server sends (fot/forest_watch.h).
import { drawTree } from "/tree.js";

function element(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}

const longestWriting = 160;

class TreeCard {
  constructor(number, following) {
    this.following = following;
    this.thoughts = [];
    this.active = false;
    this.card = element("section", "tree growing");
    this.state = element("span", "tag", "thinking");
    const title = element("h3", "", `tree ${number + 1}`);
    title.append(this.state);
    this.picture = element("div", "picture");
    this.writing = element("p", "writing");
    this.card.append(title, this.picture, this.writing);
  }
  think(event) {
    this.thoughts[event.thought] = event;
    this.draw();
  }
  // What the model is writing for this tree right now; a new call begins a new line.
  write(role, text) {
    if (this.role !== role) this.text = "";
    this.role = role;
    this.text = (this.text + text).slice(-longestWriting);
    this.writing.textContent = `${role}: ${this.text}`;
  }
  end(event) {
    this.active = event.active;
    this.card.classList.remove("growing");
    this.card.classList.toggle("off", !event.active);
    this.state.textContent = event.stopped ? "not needed" : event.stop_reason;
    this.state.classList.toggle("ok", event.active);
    this.writing.textContent = event.label ? `votes ${event.label}` : "";
    this.draw();
  }
  // Many thoughts may come at once: one picture for all of them.
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.following(() => this.picture.replaceChildren(drawTree(this.thoughts, this.active)));
    });
  }
}

// Stands before the element `place`. `following(change)` makes a change and keeps the end of the page in sight.
export class ForestView {
  constructor(place, following) {
    this.following = following;
    this.cards = new Map();
    this.box = element("details", "forest");
    this.box.open = true;
    this.title = element("summary", "", "The forest grows");
    this.trees = element("div", "trees");
    this.votes = element("div", "votes");
    this.box.append(this.title, this.trees, this.votes);
    place.before(this.box);
  }
  take(event) {
    const card = this.cards.get(event.tree);
    if (event.event === "tree") this.plant(event.tree);
    else if (event.event === "thought") card?.think(event);
    else if (event.event === "writing") (card ?? this.expert()).write(event.role, event.text);
    else if (event.event === "tree_end") card?.end(event);
    else if (event.event === "votes") this.count(event);
    else if (event.event === "end") this.end(event);
  }
  plant(number) {
    const card = new TreeCard(number, this.following);
    this.cards.set(number, card);
    this.trees.append(card.card);
    this.title.textContent = `The forest grows: ${this.cards.size} ${this.cards.size === 1 ? "tree" : "trees"}`;
  }
  // Calls that belong to no tree: the expert's, or the plain one where no tree came to an answer.
  expert() {
    if (!this.decision) {
      this.decision = new TreeCard(0, this.following);
      this.decision.card.firstChild.firstChild.textContent = "decision";
      this.trees.append(this.decision.card);
    }
    return this.decision;
  }
  count({ votes, trees }) {
    const most = Math.max(1, ...votes.map((one) => one.votes));
    const first = votes.reduce((best, one) => (one.votes > (best?.votes ?? 0) ? one : best), null);
    this.votes.replaceChildren(...votes.map((one) => {
      const line = element("div", one === first ? "vote first" : "vote");
      const bar = element("i", "bar");
      bar.style.width = `${(120 * one.votes) / most}px`;
      line.append(bar, `${one.votes} of ${trees}: ${one.label}`);
      return line;
    }));
  }
  end(event) {
    const spared = event.planned_trees - event.trees;
    this.decision?.card.classList.remove("growing");
    this.decision?.state.remove();
    this.title.textContent = [
      `${event.decided_by === "solved" ? "Solved" : `Decided by ${event.decided_by}`} after ${event.trees} of ${event.planned_trees} trees`,
      `${event.calls} calls, ${event.completion_tokens} tokens`,
    ].join("  \u00b7  ");
    if (spared > 0) {
      const noun = spared === 1 ? "more tree was" : "more trees were";
      this.trees.append(element("p", "unborn", `${spared} ${noun} not needed`));
    }
    this.box.dataset.state = "ended";
  }
}
