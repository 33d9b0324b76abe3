// Speaking with the server: one request whose answer comes in pieces.

// The data of each event of a stream, as JSON. Ends at [DONE].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The connection ended in the middle of the answer.");
      held += value;
      for (let end; (end = held.indexOf("\n\n")) >= 0; held = held.slice(end + 2)) {
        if (held.startsWith(":")) continue; // a sign of life
        const data = held.slice(0, end).replace(/^data: /, "");
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function problemOf(response) {
  let message = `The server answered ${response.status}.`;
  let code = null;
  try {
    const { error } = await response.json();
    message = error.message;
    code = error.code;
  } catch { /* it was not the API that answered */ }
  return Object.assign(new Error(message), { status: response.status, code });
}

export function headersWith(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export async function listModels(key) {
  const response = await fetch("/v1/models", { headers: headersWith(key) });
  if (!response.ok) throw await problemOf(response);
  return (await response.json()).data;
}

// Yields {text, tokens, finish, usage, reasoning} piece by piece; tokens as tokens.js shows them. Throws what went wrong.
export async function* generate(path, body, key, signal) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headersWith(key) },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw await problemOf(response);
  for await (const event of events(response)) {
    if (event.error) throw new Error(event.error.message);
    const choice = event.choices[0];
    yield {
      text: choice ? choice.delta?.content ?? choice.text ?? "" : "",
      tokens: choice ? tokensOf(choice.logprobs) : [],
      finish: choice?.finish_reason ?? null,
      usage: event.usage ?? null,
      reasoning: event.reasoning ?? null,
    };
  }
}

const encoder = new TextEncoder();

// The older kind of answer writes the bytes of half a character as "bytes:\xe2\x82".
function bytesOf(text) {
  if (!text.startsWith("bytes:")) return encoder.encode(text);
  const bytes = [];
  for (const [, hex, plain] of text.slice(6).matchAll(/\\x([0-9a-f]{2})|([\s\S])/g)) {
    if (hex) bytes.push(parseInt(hex, 16));
    else bytes.push(...encoder.encode(plain));
  }
  return Uint8Array.from(bytes);
}

function tokensOf(logprobs) {
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map((entry) => ({
      bytes: Uint8Array.from(entry.bytes ?? []),
      text: entry.token,
      logprob: entry.logprob,
      top: entry.top_logprobs.map((one) => ({ text: one.token, logprob: one.logprob })),
    }));
  }
  return logprobs.tokens.map((text, i) => ({
    bytes: bytesOf(text),
    text,
    logprob: logprobs.token_logprobs[i],
    top: Object.entries(logprobs.top_logprobs[i] ?? {}).map(([other, logprob]) => ({ text: other, logprob })),
  }));
}
