// Keeps the page as new as the daemon's newest snapshot, and shows when it is not.
// New content is merged node by node, so that a selection and the focus stay where they are.

const old = document.getElementById("old");
let broken = false;
const first = document.getElementById("content").dataset.ageS;
let seen = { ageS: first === "" ? null : Number(first), at: performance.now() };

function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function showAge() {
  const content = document.getElementById("content");
  const ageS = seen.ageS === null ? null : seen.ageS + (performance.now() - seen.at) / 1000;
  const isOld = ageS === null || broken || ageS > Number(content.dataset.staleAfterS);
  const age = ageS === null ? "" : `last seen ${duration(ageS)} ago`;
  let text = age === "" ? "The cluster was not observed yet" : `Old: ${age}`;
  if (broken) text = `No connection to the daemon${age && `: ${age}`}. Trying again.`;
  if (isOld && old.textContent !== text) old.textContent = text;
  old.hidden = !isOld;
  document.body.classList.toggle("is-old", isOld);
  // Of a page in the background only the tab's title shows.
  document.title = (isOld ? "old, " : "") + content.dataset.title;
  const line = document.getElementById("age");
  if (ageS !== null) line.textContent = isOld ? `seen ${duration(ageS)} ago` : `live, seen ${duration(ageS)} ago`;
}

function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeName !== to.nodeName) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
  for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  const next = [...to.childNodes];
  const now = [...from.childNodes];
  now.slice(next.length).forEach((node) => node.remove());
  next.forEach((node, number) => (number < now.length ? morph(now[number], node) : from.append(node)));
}

function show(ageS, html) {
  const content = document.getElementById("content");
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("content");
  morph(content, fresh);
  seen = { ageS, at: performance.now() };
  showAge();
}

function connect() {
  const stream = new EventSource("/events");
  stream.addEventListener("snapshot", (event) => {
    broken = false;
    const snapshot = JSON.parse(event.data);
    show(snapshot.age_s, snapshot.html);
  });
  stream.addEventListener("error", () => {
    broken = true;
    showAge();
    // A browser tries again by itself, but not after an answer that is no stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
}

connect();
setInterval(showAge, 1000);
