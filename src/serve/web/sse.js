// Server-sent events out of the body of a response: yields the data of each event, whatever way the bytes were
// cut on the road (in the middle of a character, of a line end, of an event).
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const {done, value} = await reader.read();
      rest += done ? decoder.decode() + "\n\n" : decoder.decode(value, {stream: true});
      for (;;) {
        const end = lineEnd(rest, done);
        if (end === null) break;
        const line = rest.slice(0, end.at);
        rest = rest.slice(end.next);
        if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (line === "" && data.length > 0) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Lines end with LF, CR or CRLF; a CR at the very end may be half of a CRLF.
function lineEnd(text, isLast) {
  const at = text.search(/[\r\n]/);
  if (at < 0 || (text[at] === "\r" && at + 1 === text.length && !isLast)) return null;
  return {at, next: at + (text.startsWith("\r\n", at) ? 2 : 1)};
}
