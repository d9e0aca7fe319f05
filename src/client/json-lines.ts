import { ConnectionError } from "./errors.ts";

const recordSeparator = "\x1e";

/**
 * The values of a stream of JSON texts, one a line (JSON lines, ndjson, or json-seq of RFC 7464 with its leading record
 * separator). Throws {@link ConnectionError} for a line that is no JSON.
 */
export async function* readJsonLines<T>(source: AsyncIterable<Uint8Array>): AsyncGenerator<T, void, void> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of source) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop()!;
    for (const line of lines) yield* parseLine<T>(line);
  }
  yield* parseLine<T>(pending + decoder.decode());
}

function* parseLine<T>(line: string): Generator<T, void, void> {
  const text = line.replaceAll(recordSeparator, "").trim();
  if (text === "") return;
  let value: T;
  try {
    value = JSON.parse(text) as T;
  } catch (error) {
    throw new ConnectionError(
      "EPROTO",
      `The daemon sent a line that is no JSON: ${text.slice(0, 80)}`,
      error,
    );
  }
  yield value;
}
