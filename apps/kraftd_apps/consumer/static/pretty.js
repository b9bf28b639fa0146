// Indents a JSON text without reading it: every string and number keeps its characters, so nothing is rounded,
// reordered or merged. A text that is no JSON object or array comes back as it is.
export function pretty(text) {
  if (!/^\s*[[{]/.test(text) || !isJson(text)) {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s"[\]{}:,]+/g);
  let depth = 0;
  let result = "";
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      const empty = next === "}" || next === "]";
      depth += empty ? 0 : 1;
      result += empty ? token : token + line(depth);
    } else if (token === "}" || token === "]") {
      const empty = tokens[index - 1] === "{" || tokens[index - 1] === "[";
      depth -= empty ? 0 : 1;
      result += empty ? token : line(depth) + token;
    } else {
      result += token === "," ? token + line(depth) : token === ":" ? ": " : token;
    }
  });
  return result;
}

function line(depth) {
  return "\n" + "  ".repeat(depth);
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
