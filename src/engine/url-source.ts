import { Readable } from "node:stream";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";

/** Reads from the web what an import names. Throws `invalidArgument` for no address, `unavailable` for no answer. */
export async function openUrl(text: string, signal: AbortSignal): Promise<Readable> {
  const address = text.includes("://") ? text : `http://${text}`;
  if (!URL.canParse(address) || !["http:", "https:"].includes(new URL(address).protocol))
    throw invalidArgument(`${JSON.stringify(text)} is no address to import from: use http:// or https://`);
  const { origin, pathname } = new URL(address);
  // Without what may be a secret in it.
  const shown = `${origin}${pathname}`;
  let answer: Response;
  try {
    answer = await fetch(address, { signal, headers: { "User-Agent": "gantry" } });
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause;
    throw new EngineError("unavailable", `cannot download ${shown}: ${errorText(cause ?? error)}`, {
      cause: error,
    });
  }
  if (!answer.ok || answer.body === null)
    throw new EngineError(
      "unavailable",
      `cannot download ${shown}: the server answered ${answer.status} ${answer.statusText}`.trim(),
    );
  return Readable.fromWeb(answer.body);
}
