/** One request of the fuzzer: an operation of the API with parameters and a body, and how its bytes are sent. */
import { tarEnd, tarHeader, tarPadding } from "../../src/oci/tar-writer.ts";
import type { ApiDescription, Operation } from "./operations.ts";
import type { SendOptions } from "./raw-client.ts";
import { type Pools, type Random, Values } from "./values.ts";

export interface FuzzRequest {
  /** Method and target, for reports. */
  readonly label: string;
  readonly bytes: Buffer;
  readonly body: Buffer;
  readonly pieces: readonly Buffer[];
  readonly options: SendOptions;
  /** True: all of it is sent, in proper HTTP, and somebody waits for the answer. */
  readonly isAnswerable: boolean;
}

const hijacked = ["/attach", "/exec/{id}/start", "/session", "/grpc"];
/** What may well take as long as a client allows: a stop with a time-out, a build, a transfer. */
const patient = ["/stop", "/restart", "/build", "/images/create", "/push", "/wait"];

const answerMs = 90_000;
/** Larger than the largest body of settings that the daemon takes. */
const hugeBytes = 5 * 1024 * 1024;

/** A tar with one file, such as contexts, archives and copies are. */
export function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(files).flatMap(([name, text]) => {
    const data = Buffer.from(text);
    const header = tarHeader({ name, type: "file", mode: 0o644, sizeBytes: data.length });
    return [header, data, tarPadding(data.length)];
  });
  return Buffer.concat([...parts, tarEnd()]);
}

/** The route that the fuzzer knows beside those of the description. */
const grpc: Operation = { method: "POST", path: "/grpc", parameters: [] };

/** What is refused whatever is asked, by the first part of the path: one round in eight has these. */
const refusedRooms = new Set("plugins nodes swarm services tasks secrets configs".split(" "));

/** The order in which operations are asked: those with much in their bodies often, those that are refused now and then. */
export function operationsOf(api: ApiDescription): Operation[] {
  const isRefused = ({ path }: Operation): boolean => refusedRooms.has(path.split("/")[1] ?? "");
  const once = [...api.operations.filter((operation) => !isRefused(operation)), grpc];
  const rich = api.operations.filter(
    ({ body, method, path }) => body !== undefined && `${method} ${path}`.includes("POST /containers/"),
  );
  const round = [...once, ...rich, ...rich, ...rich, ...rich];
  return [...Array.from({ length: 8 }, () => round).flat(), ...api.operations.filter(isRefused)];
}

export function makeRequest(
  operation: Operation,
  api: ApiDescription,
  source: { readonly random: Random; readonly pools: Pools },
): FuzzRequest {
  const values = new Values(source.random, source.pools, api.definitions);
  const target = targetOf(operation, values);
  const { body, type } = bodyOf(operation, values);
  const headers = headersOf(operation, values, { body, type });
  const label = `${operation.method} ${target}`;
  const head = Buffer.from(`${operation.method} ${target} HTTP/1.1\r\n${headers.lines.join("\r\n")}\r\n\r\n`);
  return { label, body, ...delivery(operation, values, { head, body, isChunked: headers.isChunked }) };
}

const served = ["/v1.41", "/v1.44", "/v1.47", "/v1.50", "/v1.52", "/v1.55"];
const versions = [...served, ...served, ...served, "/v1.24", "/v1.99", "/v9"];

function targetOf(operation: Operation, values: Values): string {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encode(values.pathSegment(operation.path, name)),
  );
  const version = values.chance(0.5) ? "" : values.pick(versions);
  const query = operation.parameters
    .filter((parameter) => parameter.in === "query" && values.chance(0.5))
    .flatMap((parameter) => {
      const times = values.chance(0.05) ? 3 : 1;
      return Array.from({ length: times }, () => `${parameter.name}=${encode(values.parameter(parameter))}`);
    });
  if (values.chance(0.03)) query.push(values.pick(["&&", "=", "%zz", "a=%", "constructor=1", "filters="]));
  return `${version}${path}${query.length > 0 ? `?${query.join("&")}` : ""}`;
}

/** Percent encoding of any text, lone surrogates too; short of the server's own limit for heads. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).slice(0, 100_000).replace(/%.?$/, "");
}

interface Body {
  readonly body: Buffer;
  readonly type: string;
}

function bodyOf(operation: Operation, values: Values): Body {
  const json = (value: unknown): Body => ({
    body: Buffer.from(JSON.stringify(value) ?? ""),
    type: "application/json",
  });
  const none: Body = { body: Buffer.alloc(0), type: "" };
  if (operation.body === undefined) return values.chance(0.9) ? none : json(values.misfit(0));
  if (values.propertiesOf(operation.body) === undefined) return streamBody(values);
  const fitting = baseOf(operation, values);
  return values.pick<() => Body>([
    () => json(fitting),
    () => json(fitting),
    () => json(fitting),
    () => json(fitting),
    () => json(withMisfit(fitting, values)),
    () => json(withMisfit(fitting, values)),
    () => json(values.misfit(0)),
    () => brokenJson(fitting, values),
  ])();
}

/** A body that fits, with what must be there for anything to be looked at. */
function baseOf(operation: Operation, values: Values): Record<string, unknown> {
  const fitting = values.fit(operation.body!, "", 0) as Record<string, unknown>;
  if (operation.path === "/containers/create" && values.chance(0.9))
    return { ...fitting, Image: "gantry/busybox", Cmd: fitting["Cmd"] ?? ["true"] };
  if (operation.path.endsWith("/exec") && values.chance(0.8)) return { ...fitting, Cmd: ["true"] };
  if (operation.path.endsWith("/create") && values.chance(0.8))
    return { ...fitting, Name: values.pick(["fuzz-a", "fuzz-b", "fuzz-c"]) };
  return fitting;
}

function withMisfit(body: Record<string, unknown>, values: Values): unknown {
  const names = Object.keys(body);
  if (names.length === 0) return values.misfit(0);
  return { ...body, [values.pick(names)]: values.misfit(0) };
}

function brokenJson(fitting: unknown, values: Values): Body {
  const text = JSON.stringify(fitting);
  const body = values.pick<() => Buffer>([
    () => Buffer.from(text.slice(0, Math.floor(text.length / 2))),
    () => Buffer.from(`${text}${text}`),
    () => Buffer.from([0xff, 0xfe, 0x00, 0x22]),
    () => Buffer.from("[".repeat(50_000)),
    () => Buffer.from('{"a":'.repeat(20_000)),
    () => Buffer.from(`{"__proto__":{"Image":"x"},"Cmd":[${"0,".repeat(100_000)}0]}`),
    () => Buffer.alloc(hugeBytes, 0x20),
    () => Buffer.from(`{"Image":"${"x".repeat(hugeBytes)}"}`),
    () => Buffer.from(" "),
  ])();
  return {
    body,
    type: values.chance(0.9) ? "application/json" : values.pick(["text/plain", "", "application/json;;;"]),
  };
}

function streamBody(values: Values): Body {
  const good = tarOf({
    Dockerfile: values.pick([
      "FROM gantry/busybox\nRUN true\n",
      "FROM scratch\nCOPY . /\n",
      "FROM",
      "RUN x\n",
      "",
    ]),
    "fuzz-file": "text",
  });
  const body = values.pick<() => Buffer>([
    () => good,
    () => good,
    () => good.subarray(0, 700),
    () => Buffer.alloc(0),
    () => Buffer.alloc(1024),
    () => Buffer.from(good).fill(0x41, 100, 200),
    () => Buffer.from("H4sIAAAAAAAAA", "base64"),
    () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]),
    () => tarOf({ "../../fuzz-escape": "x", "/fuzz-absolute": "x" }),
    () =>
      tarOf({
        "manifest.json": values.pick(["[]", "[{}]", "{", "null", '[{"Config":"../x","Layers":[null]}]']),
      }),
    () => tarOf({ "index.json": values.pick(["{}", "null", '{"manifests":[{}]}']), "oci-layout": "{}" }),
  ])();
  return { body, type: values.chance(0.9) ? "application/x-tar" : "application/json" };
}

interface Headers {
  readonly lines: readonly string[];
  readonly isChunked: boolean;
}

function headersOf(operation: Operation, values: Values, { body, type }: Body): Headers {
  const isChunked = body.length > 0 && values.chance(0.2);
  const lines = [values.chance(0.95) ? "Host: docker" : "Host: "];
  if (type !== "") lines.push(`Content-Type: ${type}`);
  if (isChunked) lines.push("Transfer-Encoding: chunked");
  else if (body.length > 0 || values.chance(0.3)) lines.push(`Content-Length: ${body.length}`);
  for (const parameter of operation.parameters.filter((one) => one.in === "header")) {
    if (values.chance(0.5)) continue;
    const text = values.pick([
      Buffer.from('{"username":"a","password":"b"}').toString("base64url"),
      Buffer.from(values.pick(["null", "7", "[]", '{"a":null}', '{"username":5}', "{"])).toString("base64"),
      "e30=",
      "not base64 at all",
      "x".repeat(20_000),
    ]);
    if (parameter.name.toLowerCase() !== "content-type") lines.push(`${parameter.name}: ${text}`);
  }
  const mayUpgrade = hijacked.some((end) => operation.path.includes(end));
  if (values.chance(mayUpgrade ? 0.7 : 0.02)) {
    lines.push("Connection: Upgrade", `Upgrade: ${values.pick(["tcp", "h2c", "websocket", "odd"])}`);
    if (values.chance(0.5))
      lines.push("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
  }
  if (values.chance(0.02)) lines.push("Expect: 100-continue");
  return { lines, isChunked };
}

interface Bytes {
  readonly head: Buffer;
  readonly body: Buffer;
  readonly isChunked: boolean;
}

type Delivery = Omit<FuzzRequest, "label" | "body">;

function delivery(operation: Operation, values: Values, { head, body, isChunked }: Bytes): Delivery {
  const sent = isChunked ? chunked(body) : body;
  const bytes = Buffer.concat([head, sent]);
  const isPatient = patient.some((end) => operation.path.endsWith(end));
  const options: SendOptions = {
    answerMs: isPatient ? 1_500 : answerMs,
    afterUpgrade: values.pick([
      Buffer.alloc(0),
      Buffer.from("input\n"),
      Buffer.alloc(5_000, 0xa5),
      webSocketFrame,
    ]),
    halfClose: values.chance(0.1),
  };
  const way = values.chance(0.88) ? "whole" : values.pick(["half", "leave", "pieces", "bad-chunk"] as const);
  if (way === "half") {
    const cut = Math.max(1, Math.floor(bytes.length * 0.6));
    return {
      bytes,
      pieces: [bytes.subarray(0, cut)],
      options: { ...options, answerMs: 500, halfClose: true },
      isAnswerable: false,
    };
  }
  if (way === "leave")
    return { bytes, pieces: [bytes], options: { ...options, leave: true }, isAnswerable: false };
  if (way === "bad-chunk" && isChunked) {
    const pieces = [head, Buffer.from("zz\r\nno chunk\r\n")];
    return { bytes, pieces, options: { ...options, answerMs: 5_000 }, isAnswerable: false };
  }
  const isAnswerable = !isPatient && options.halfClose !== true;
  if (way === "pieces") {
    const size = Math.max(1, Math.ceil(bytes.length / 20));
    const pieces = Array.from({ length: 20 }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
    return { bytes, pieces, options, isAnswerable };
  }
  return { bytes, pieces: [bytes], options, isAnswerable };
}

/** A masked text frame that claims 16 MiB and has four bytes (RFC 6455, section 5.2). */
const webSocketFrame = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);

function chunked(body: Buffer): Buffer {
  const half = Math.ceil(body.length / 2);
  const parts = [body.subarray(0, half), body.subarray(half)].filter((part) => part.length > 0);
  return Buffer.concat([
    ...parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]),
    Buffer.from("0\r\n\r\n"),
  ]);
}
