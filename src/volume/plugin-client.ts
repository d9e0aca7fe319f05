/** One call of Docker's plugin protocol: JSON by POST over a unix socket or TCP. */
import { readFileSync } from "node:fs";
import {
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { EngineError, errorText } from "../base/errors.ts";
import type { PluginAddress } from "./plugin-registry.ts";

const mediaType = "application/vnd.docker.plugins.v1.2+json";
const answerTimeoutMs = 120_000;
const maxAnswerBytes = 8 << 20;
/** Between tries to reach a plugin that may just be starting anew. */
const retryDelaysMs = [100, 200, 400, 800, 1_600, 3_200];

export interface PluginCall {
  /** `VolumeDriver.Mount`. */
  readonly method: string;
  readonly body: unknown;
  /** Whether to try again for some seconds when nobody listens. */
  readonly retry: boolean;
}

/**
 * Calls a plugin. Throws `unavailable` when it cannot be reached or does not answer, `internal` with its own words when
 * it answers with an error.
 */
export async function callPlugin(plugin: PluginAddress, call: PluginCall): Promise<Record<string, unknown>> {
  const { status, text } = await sendWithRetries(plugin, call);
  let answer: Record<string, unknown> = {};
  try {
    const read: unknown = JSON.parse(text === "" ? "{}" : text);
    if (typeof read === "object" && read !== null) answer = read as Record<string, unknown>;
  } catch (error) {
    if (status === 200)
      throw new EngineError(
        "internal",
        `${call.method}: plugin ${plugin.name} answered no JSON: ${errorText(error)}`,
      );
  }
  const said = answer["Err"];
  if (status !== 200)
    throw new EngineError(
      status === 404 ? "notImplemented" : "internal",
      `${call.method}: ${typeof said === "string" && said !== "" ? said : text.trim() || `status ${status}`}`,
    );
  if (typeof said === "string" && said !== "") throw new EngineError("internal", said);
  return answer;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function sendWithRetries(plugin: PluginAddress, call: PluginCall): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(plugin, call);
    } catch (error) {
      const waitMs = retryDelaysMs[attempt];
      const isAway =
        error instanceof Error &&
        "code" in error &&
        (error.code === "ECONNREFUSED" || error.code === "ENOENT");
      if (!call.retry || !isAway || waitMs === undefined)
        throw new EngineError(
          "unavailable",
          `${call.method}: plugin ${plugin.name} at ${plugin.address} cannot be reached: ${errorText(error)}`,
          { cause: error },
        );
      await delay(waitMs);
    }
  }
}

async function send(plugin: PluginAddress, call: PluginCall): Promise<Answer> {
  const payload = JSON.stringify(call.body ?? {});
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = await open(plugin, call.method, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxAnswerBytes)
        request.destroy(new Error(`it answered with more than ${maxAnswerBytes} bytes`));
      else chunks.push(chunk);
    });
    response.on("end", () =>
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
    );
    response.on("error", reject);
  });
  request.on("error", reject);
  request.setTimeout(answerTimeoutMs, () =>
    request.destroy(new Error(`no answer within ${answerTimeoutMs / 1000} seconds`)),
  );
  request.end(payload);
  return promise;
}

async function open(
  plugin: PluginAddress,
  method: string,
  onResponse: (response: IncomingMessage) => void,
): Promise<ClientRequest> {
  const options: RequestOptions = {
    method: "POST",
    path: `/${method}`,
    // Not one that keeps connections: it does so unless the answer, too, has this header, and a server may leave it out.
    agent: false,
    headers: { accept: mediaType, "content-type": mediaType, connection: "close" },
  };
  if (plugin.address.startsWith("unix://"))
    return httpRequest(
      { ...options, socketPath: plugin.address.slice("unix://".length), host: "plugin" },
      onResponse,
    );
  const { hostname, port, protocol } = new URL(plugin.address.replace(/^tcp:/, "http:"));
  const { tls } = plugin;
  if (tls === undefined && protocol !== "https:")
    return httpRequest({ ...options, host: hostname, port }, onResponse);
  // Seldom, and a large part of the runtime: loaded with the first plugin that wants it.
  const { request: httpsRequest } = await import("node:https");
  const file = (path: string | undefined): Buffer | undefined => (path ? readFileSync(path) : undefined);
  return httpsRequest(
    {
      ...options,
      host: hostname,
      port,
      rejectUnauthorized: tls?.skipVerify !== true,
      ca: file(tls?.caFile),
      cert: file(tls?.certFile),
      key: file(tls?.keyFile),
    },
    onResponse,
  );
}
