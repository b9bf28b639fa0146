// Makes the page live. Without this file it shows the newest records as of its loading.
// Text from records is only ever set as text; numbers are never parsed, so that none is rounded.
import { pretty } from "./pretty.js";

const MOST_ROWS = 500;
const list = document.getElementById("records");
const template = document.getElementById("record");
const pauseButton = document.getElementById("pause");
const prettyButton = document.getElementById("pretty");
const filter = document.getElementById("filter");
const notice = document.getElementById("notice");
const exportLink = document.getElementById("export");

const texts = new WeakMap();
let waiting = [];
let arrivedWhilePaused = 0;
let notShown = 0;
let wasBehind = false;

function slot(row, name) {
  return row.querySelector(`[data-slot="${name}"]`);
}

function isOn(button) {
  return button.getAttribute("aria-pressed") === "true";
}

function localTime(iso) {
  const moment = new Date(iso);
  const two = (number, width = 2) => String(number).padStart(width, "0");
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  return `${day} ${clock}.${two(moment.getMilliseconds(), 3)}`;
}

function content(shown) {
  const words = { null: "none", empty: "empty" };
  return words[shown.kind] ?? shown.text + (shown.cut ? "…" : "");
}

function showValue(row) {
  const value = slot(row, "value");
  const text = texts.get(row);
  value.textContent = isOn(prettyButton) && value.dataset.kind === "text" ? pretty(text) : text;
}

function applyFilter(row) {
  const wanted = filter.value.toLowerCase();
  row.hidden = wanted !== "" && !searchable(row).includes(wanted);
}

function searchable(row) {
  return ["key", "headers"].map((name) => slot(row, name).textContent).concat(texts.get(row)).join("\n").toLowerCase();
}

function prepare(row) {
  const time = slot(row, "time");
  if (time.dateTime) {
    time.textContent = localTime(time.dateTime);
  }
  texts.set(row, slot(row, "value").textContent);
  slot(row, "tools").hidden = false;
  showValue(row);
  applyFilter(row);
  return row;
}

function build(message) {
  const row = template.content.firstElementChild.cloneNode(true);
  const place = `${message.partition}:${message.offset}`;
  row.dataset.place = place;
  row.classList.add("fresh");
  slot(row, "place").textContent = place;
  const bytes = message.value.kind === "fault" ? "batch" : "raw";
  slot(row, "place").href = `/api/messages/${message.partition}/${message.offset}/${bytes}`;
  const time = slot(row, "time");
  time.dateTime = time.title = message.time ?? "";
  time.textContent = message.time ?? "no time";
  slot(row, "size").textContent = `${message.size_bytes} B`;
  const key = slot(row, "key");
  key.dataset.kind = message.key.kind;
  key.textContent = message.key.kind === "null" ? "" : content(message.key);
  const value = slot(row, "value");
  value.dataset.kind = message.value.kind;
  value.textContent = { null: "tombstone", empty: "empty" }[message.value.kind] ?? message.value.text;
  slot(row, "cut").hidden = !message.value.cut;
  slot(row, "headers").hidden = message.headers.length === 0;
  slot(row, "headers").append(...message.headers.map(buildHeader));
  return prepare(row);
}

function buildHeader([name, value]) {
  const item = document.createElement("li");
  const label = document.createElement("b");
  label.textContent = name;
  item.append(label, " " + content(value));
  return item;
}

function add(messages) {
  messages.forEach(forget);
  const rows = messages.map(build).reverse();
  list.prepend(...rows);
  while (list.children.length > MOST_ROWS) {
    list.lastElementChild.remove();
  }
  document.getElementById("nothing").hidden = list.children.length > 0;
}

// A record that was read back before it arrived stands on the page already.
function forget(message) {
  list.querySelector(`[data-place="${message.partition}:${message.offset}"]`)?.remove();
}

function tell(text) {
  notice.textContent = text;
  notice.hidden = text === "";
}

function tellNotShown(count) {
  notShown += count;
  tell(`${notShown} more records arrived than can be shown; Export has the newest.`);
}

function take(event) {
  const data = JSON.parse(event.data);
  list.dataset.seen = event.lastEventId;
  if (isOn(pauseButton)) {
    arrivedWhilePaused += data.messages.length + data.skipped;
    waiting = waiting.concat(data.messages).slice(-MOST_ROWS);
    pauseButton.textContent = `Resume (${arrivedWhilePaused} new)`;
    return;
  }
  add(data.messages);
  if (data.skipped) {
    tellNotShown(data.skipped);
  }
}

function showStatus(event) {
  const status = JSON.parse(event.data);
  const behind = Object.values(status.lag).reduce((sum, lag) => sum + lag, 0);
  const away = status.brokers_up === 0;
  let text = "Not a member of the group";
  if (away) {
    text = "No broker answers";
  } else if (status.partitions?.length) {
    text = `Reads partitions ${status.partitions.join(", ")}`;
    // Being behind at one look is the way records arrive; at two in a row it is news.
    text += behind && wasBehind ? ` · ${behind} behind` : "";
  } else if (status.partitions) {
    text = "On standby: other members read all partitions";
  }
  wasBehind = behind > 0;
  document.getElementById("status").textContent = text;
  document.getElementById("dot").classList.toggle("bad", away || status.partitions === null);
}

function connect() {
  const live = document.getElementById("live");
  const events = new EventSource("/events?after=" + encodeURIComponent(list.dataset.seen));
  events.addEventListener("open", () => { live.textContent = " · live"; });
  events.addEventListener("error", () => {
    live.textContent = " · reconnecting";
    // A browser tries again by itself, but not after an answer that is no stream.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(connect, 5000);
    }
  });
  events.addEventListener("messages", take);
  events.addEventListener("status", showStatus);
  events.addEventListener("gap", (event) => {
    const { dropped } = JSON.parse(event.data);
    if (dropped === null) {
      tell("The app was restarted; reload the page to see records that arrived in the meantime.");
    } else {
      tellNotShown(dropped);
    }
  });
}

function toggle(button) {
  button.setAttribute("aria-pressed", String(!isOn(button)));
}

pauseButton.addEventListener("click", () => {
  toggle(pauseButton);
  pauseButton.textContent = isOn(pauseButton) ? "Resume" : "Pause";
  if (!isOn(pauseButton)) {
    add(waiting);
    waiting = [];
    arrivedWhilePaused = 0;
  }
});

prettyButton.addEventListener("click", () => {
  toggle(prettyButton);
  [...list.children].forEach(showValue);
});

filter.addEventListener("input", () => {
  [...list.children].forEach(applyFilter);
  const query = filter.value ? "&q=" + encodeURIComponent(filter.value) : "";
  exportLink.href = "/api/messages?format=ndjson&limit=1000" + query;
});

list.addEventListener("click", async (event) => {
  const action = event.target.dataset.action;
  if (!action) {
    return;
  }
  const row = event.target.closest(".record");
  const [partition, offset] = row.dataset.place.split(":");
  const address = `/api/messages/${partition}/${offset}`;
  const note = slot(row, "note");
  note.hidden = false;
  try {
    if (action === "copy") {
      note.textContent = await copy(row, address);
    } else {
      const answer = await (await fetch(address + "/resend", { method: "POST" })).json();
      note.textContent = answer.status === "sent" ? `Sent again as ${answer.partition}:${answer.offset ?? "?"}` : answer.detail;
    }
  } catch (error) {
    note.textContent = `Failed: ${error.message}`;
  }
});

// The words that stand for a missing and for an empty value are no part of the record.
async function copy(row, address) {
  const kind = slot(row, "value").dataset.kind;
  if (kind === "null") {
    return "A tombstone has no value";
  }
  // Browsers have it only where nobody on the way can read along.
  if (!navigator.clipboard) {
    return "Copying needs https, or the address localhost";
  }
  const shown = kind === "empty" ? "" : texts.get(row);
  await navigator.clipboard.writeText(kind === "text" ? await (await fetch(address + "/raw")).text() : shown);
  return "Copied";
}

document.getElementById("bar").hidden = false;
[...list.children].forEach(prepare);
connect();
