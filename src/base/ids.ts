import { randomBytes } from "node:crypto";

/** A new random 64-digit hexadecimal id, as containers, execs, networks and endpoints have. */
export function newId(): string {
  return randomBytes(32).toString("hex");
}

/** The first 12 digits: what people see in listings. A leading `sha256:` is dropped. */
export function shortId(id: string): string {
  return (id.startsWith("sha256:") ? id.slice(7) : id).slice(0, 12);
}
