import type { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { openWebFile } from "../registry/web.ts";

/** Reads from the web what an import names. Throws `invalidArgument` for no address, `unavailable` for no answer. */
export async function openUrl(text: string, signal: AbortSignal): Promise<Readable> {
  const address = text.includes("://") ? text : `http://${text}`;
  if (!URL.canParse(address) || !["http:", "https:"].includes(new URL(address).protocol))
    throw invalidArgument(`${JSON.stringify(text)} is no address to import from: use http:// or https://`);
  return (await openWebFile(address, { signal })).body;
}
