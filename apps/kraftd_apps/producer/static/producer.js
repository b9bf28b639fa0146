"use strict";

// Publishes without leaving the page. Without this file the form posts itself and the server answers with a page.
const form = document.getElementById("form");
const result = document.getElementById("result");
const verdict = document.getElementById("verdict");
const answer = document.getElementById("answer");

document.getElementById("origin").textContent = location.origin;

function show(title, text) {
  verdict.textContent = title;
  answer.textContent = text;
  result.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const key = form.elements.key.value;
  const target = key ? "/send?key=" + encodeURIComponent(key) : "/send";
  button.disabled = true;
  try {
    const response = await fetch(target, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: form.elements.value.value,
    });
    show(response.ok ? "Written" : "Not acknowledged", await response.text());
  } catch (error) {
    show("No answer", "The app does not answer: the record may or may not have been written.");
  } finally {
    button.disabled = false;
  }
});
