/** Requests to a daemon's API without a client library. */
import { request } from "node:http";
import type { TestDaemon } from "./daemon.ts";

export interface RawAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly message: string;
}

/** A raw request (`METHOD /path`), so that nothing in between mends what is wrong with it. */
export function askRaw(
  daemon: TestDaemon,
  target: string,
  body?: string | Buffer,
  type = "application/json",
): Promise<RawAnswer> {
  const [method = "", path = ""] = target.split(" ");
  return new Promise((resolve, reject) => {
    const asked = request({
      socketPath: daemon.socket,
      method,
      path,
      headers: body === undefined ? {} : { "Content-Type": type, "Content-Length": Buffer.byteLength(body) },
      timeout: 15_000,
    });
    asked.on("error", reject);
    asked.on("timeout", () => asked.destroy(new Error(`no answer to ${target}`)));
    asked.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        let message = text;
        try {
          message = (JSON.parse(text) as { message?: string }).message ?? text;
        } catch {
          // a stream or plain text: judged as it is
        }
        resolve({ status: response.statusCode ?? 0, contentType: response.headers["content-type"], message });
      });
    });
    asked.end(body);
  });
}
