import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { FrameError, FrameParser, readOutput } from "./frames.ts";
import { parseHost } from "./host.ts";
import { readJsonLines } from "./json-lines.ts";
import { filtersParameter, platformParameter } from "./options.ts";
import { ProtocolError, ResponseParser } from "./response-parser.ts";
import { compareVersions, lowerVersion, pathPart } from "./transport.ts";

/** Cuts `data` at `cuts`. */
function pieces(data: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (data.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, index) => data.subarray(start, places[index] ?? data.length));
}

const cuts = fc.array(fc.nat(2000), { maxLength: 12 });

interface Parsed {
  status?: number;
  headers?: Record<string, string>;
  body: string;
  rest?: string;
}

function parse(method: string, chunks: readonly Buffer[], closes = false): Parsed {
  const result: Parsed = { body: "" };
  const parser = new ResponseParser(method, {
    onHead: (head) =>
      Object.assign(result, { status: head.status, headers: Object.fromEntries(head.headers) }),
    onBody: (part) => void (result.body += part.toString("latin1")),
    onEnd: (rest) => void (result.rest = rest.toString("latin1")),
  });
  for (const chunk of chunks) parser.push(chunk);
  if (closes) parser.close();
  return result;
}

test("a response means the same however it is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
      cuts,
      (parts, places) => {
        const body = Buffer.from(parts.join(""));
        const chunked = parts
          .map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`)
          .join("");
        for (const text of [
          `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-A: 1\r\n\r\n${parts.join("")}`,
          `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n${chunked}0\r\nT: x\r\n\r\n`,
        ]) {
          const result = parse("GET", pieces(Buffer.from(text), places));
          assert.equal(result.status, 200);
          assert.equal(result.headers!["x-a"], "1");
          assert.equal(result.body, body.toString("latin1"));
          assert.equal(result.rest, "");
        }
      },
    ),
  );
});

test("responses without a length end with the connection, and those of HEAD, 204, 304 and 101 with their head", () => {
  assert.equal(parse("GET", [Buffer.from("HTTP/1.1 200 OK\r\n\r\nabc")], true).body, "abc");
  for (const [method, status] of [
    ["HEAD", "200 OK"],
    ["GET", "204 No Content"],
    ["GET", "304 Not Modified"],
    ["POST", "101 UPGRADED"],
  ] as const) {
    const result = parse(method, [Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: 5\r\n\r\nrest!`)]);
    assert.deepEqual([result.body, result.rest], ["", "rest!"], status);
  }
});

test("what is no response is refused", () => {
  for (const text of [
    "hello there",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 abc\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    `HTTP/1.1 200 OK\r\nX: ${"y".repeat(300_000)}`,
  ]) {
    assert.throws(() => parse("GET", [Buffer.from(text)]), ProtocolError, text.slice(0, 60));
  }
  assert.throws(() => parse("GET", [], true), ProtocolError);
  assert.throws(
    () => parse("GET", [Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")], true),
    ProtocolError,
  );
});

test("frames come apart however they are cut", () => {
  const payloads = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 50 })), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(payloads, cuts, (frames, places) => {
      const data = Buffer.concat(
        frames.flatMap(([stream, payload]) => {
          const head = Buffer.alloc(8);
          head[0] = stream;
          head.writeUInt32BE(payload.length, 4);
          return [head, Buffer.from(payload)];
        }),
      );
      const parser = new FrameParser();
      const got: Record<string, Buffer[]> = { stdin: [], stdout: [], stderr: [], system: [] };
      for (const piece of pieces(data, places)) {
        for (const { stream, data } of parser.push(piece)) got[stream]!.push(data);
      }
      assert.ok(parser.complete);
      for (const [index, name] of Object.keys(got).entries()) {
        const expected = frames
          .filter(([stream]) => stream === index)
          .map(([, payload]) => Buffer.from(payload));
        assert.deepEqual(Buffer.concat(got[name]!), Buffer.concat(expected));
      }
    }),
  );
});

test("a stream that ends in a frame, or is none, is an error", async () => {
  const read = async (bytes: number[]): Promise<void> => {
    async function* source(): AsyncGenerator<Buffer> {
      yield Buffer.from(bytes);
    }
    for await (const _chunk of readOutput(source(), true)) void _chunk;
  };
  await assert.rejects(read([1, 0, 0, 0, 0, 0, 0, 5, 65]), FrameError);
  await assert.rejects(read([9, 0, 0, 0, 0, 0, 0, 1, 65]), FrameError);
});

test("JSON lines are read across chunks, with any of the separators", async () => {
  async function* source(): AsyncGenerator<Buffer> {
    const data = Buffer.from('{"a":"ä"}\r\n\n\u001e{"a":2}\n{"a":3}');
    for (const byte of data) yield Buffer.from([byte]);
  }
  const values: unknown[] = [];
  for await (const value of readJsonLines(source())) values.push(value);
  assert.deepEqual(values, [{ a: "ä" }, { a: 2 }, { a: 3 }]);
});

test("addresses of daemons", () => {
  const table: [string, unknown][] = [
    ["unix:///run/x.sock", { kind: "unix", url: "unix:///run/x.sock", path: "/run/x.sock" }],
    ["/run/x.sock", { kind: "unix", url: "unix:///run/x.sock", path: "/run/x.sock" }],
    [
      "tcp://h:1234/base/",
      { kind: "tcp", url: "tcp://h:1234/base/", hostname: "h", port: 1234, basePath: "/base" },
    ],
    ["tcp://h", { kind: "tcp", url: "tcp://h", hostname: "h", port: 2375, basePath: "" }],
    ["tcp://:80", { kind: "tcp", url: "tcp://:80", hostname: "127.0.0.1", port: 80, basePath: "" }],
    ["tcp://[::1]:80", { kind: "tcp", url: "tcp://[::1]:80", hostname: "::1", port: 80, basePath: "" }],
    ["ssh://me@h:22", { kind: "ssh", url: "ssh://me@h:22", user: "me", hostname: "h", port: 22, path: "" }],
    [
      "ssh://h/run/x",
      { kind: "ssh", url: "ssh://h/run/x", user: "", hostname: "h", port: undefined, path: "/run/x" },
    ],
    ["h:99", { kind: "tcp", url: "tcp://h:99", hostname: "h", port: 99, basePath: "" }],
  ];
  for (const [text, host] of table) assert.deepEqual(parseHost(text), host, text);
  assert.deepEqual(parseHost("tcp://h", true), {
    kind: "tcp",
    url: "tcp://h",
    hostname: "h",
    port: 2376,
    basePath: "",
  });
  for (const text of [
    "",
    "unix://",
    "ssh://-h",
    "npipe://h",
    "foo://h",
    "tcp://h:0",
    "tcp://h:99999",
    "tcp://a b",
    "name",
  ]) {
    assert.throws(() => parseHost(text), /^Error: invalid host/, text);
  }
});

test("parameters of queries and paths", () => {
  assert.equal(filtersParameter({}), undefined);
  assert.equal(filtersParameter({ label: ["a=b", "c"] }), '{"label":{"a=b":true,"c":true}}');
  assert.equal(platformParameter("linux/arm64/v8"), '{"architecture":"arm64","os":"linux","variant":"v8"}');
  assert.equal(platformParameter(""), undefined);
  assert.equal(pathPart("127.0.0.1:5000/a b@sha256:x?"), "127.0.0.1:5000/a%20b@sha256:x%3F");
  assert.equal(lowerVersion("1.9", "1.41"), "1.9");
  assert.ok(compareVersions("1.100", "1.99") > 0);
});
