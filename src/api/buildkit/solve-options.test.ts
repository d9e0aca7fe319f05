import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError } from "../../base/errors.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import { withBuildFailure } from "../../build/build.ts";
import { status } from "../../wire/buildkit/common.ts";
import type { ClientSession } from "./client-session.ts";
import { withDetails } from "./solve.ts";
import { buildRequest, type SolveInput } from "./solve-options.ts";

const session = { id: "s", sharedKey: "key", serves: () => false } as unknown as ClientSession;

function input(attributes: Record<string, string>, more: Partial<SolveInput> = {}): SolveInput {
  return {
    ref: "r",
    session,
    attributes: new Map(Object.entries(attributes)),
    exporters: [],
    cacheFrom: [],
    cacheTo: [],
    entitlements: [],
    signal: new AbortController().signal,
    onEvent: () => {},
    ...more,
  };
}

test("attributes become what the builder is asked", () => {
  const request = buildRequest(
    input({
      filename: "Other",
      target: "t",
      "build-arg:A": "1",
      "label:l": "v",
      platform: "linux/amd64,linux/arm64",
      "no-cache": "a,b",
      "image-resolve-mode": "pull",
      "add-hosts": "db=10.0.0.1,v6=::1",
      "shm-size": "1024",
      ulimit: "nofile=1:2",
      "force-network-mode": "none",
      "context:base": "docker-image://debian",
      "context:more": "local:more",
      "attest:provenance": "mode=max",
    }),
  );
  assert.equal(request.dockerfile?.name, "Other");
  assert.equal(request.target, "t");
  assert.deepEqual({ ...request.buildArgs }, { A: "1" });
  assert.deepEqual({ ...request.labels }, { l: "v" });
  assert.deepEqual(
    request.platforms?.map(({ architecture }) => architecture),
    ["amd64", "arm64"],
  );
  assert.deepEqual(request.noCacheFilter, ["a", "b"]);
  assert.equal(request.pull, true);
  assert.deepEqual(request.extraHosts, ["db:10.0.0.1", "v6:::1"]);
  assert.deepEqual(request.limits, { shmSizeBytes: 1024, ulimits: [{ name: "nofile", soft: 1, hard: 2 }] });
  assert.equal(request.networkMode, "none");
  assert.deepEqual(request.namedContexts?.["base"], { kind: "image", reference: "debian" });
  assert.equal(request.namedContexts?.["more"]?.kind, "remote");
  assert.equal(request.provenance?.mode, "max");
});

test("contexts are directories of the client's, addresses, or what it uploads", () => {
  const kinds: [Record<string, string>, string][] = [
    [{}, "remote"],
    [{ context: "https://example.org/repo.git#main:sub" }, "git"],
    [{ context: "git@example.org:repo.git" }, "git"],
    [{ context: "github.com/some/repo" }, "git"],
    [{ context: "https://example.org/context.tar.gz" }, "http"],
    [{ context: "docker-image://debian:12" }, "image"],
  ];
  for (const [attributes, kind] of kinds) assert.equal(buildRequest(input(attributes)).context.kind, kind);
});

test("exporters keep their number, and whoever asks for a push has it", () => {
  const exporter = (Type: string, attributes: Record<string, string> = {}) => ({
    Type,
    Attrs: new Map(Object.entries(attributes)),
  });
  const exports = (...exporters: ReturnType<typeof exporter>[]) =>
    buildRequest(input({}, { exporters })).exports;
  const pushes = exports(
    exporter("moby", { name: "a,b", push: "true" }),
    exporter("image", { name: "c", push: "true" }),
    exporter("moby", { name: "d", push: "false" }),
    exporter("moby", { name: "e" }),
  ).map((made) => made.type === "image" && [made.names, made.push]);
  assert.deepEqual(pushes, [
    [["a", "b"], true],
    [["c"], true],
    [["d"], false],
    [["e"], false],
  ]);
  assert.deepEqual(
    exports(exporter("local"), exporter("tar"), exporter("oci")).map(({ type }) => type),
    ["local", "tar", "oci"],
  );
  assert.throws(() => exports(exporter("gcs")), { kind: "invalidArgument" });
});

test("a scanner is BuildKit's unless one is named; what else is said goes to it", () => {
  const sbom = (value: string): unknown => {
    const asked = buildRequest(input({ "attest:sbom": value })).sbom;
    return asked === undefined ? undefined : { ...asked, parameters: { ...asked.parameters } };
  };
  assert.deepEqual(sbom(""), { parameters: {} });
  assert.deepEqual(sbom("generator=me/scanner:1,LEVEL=deep"), {
    generator: "me/scanner:1",
    parameters: { LEVEL: "deep" },
  });
  assert.equal(sbom("disabled=true"), undefined);
  assert.equal(sbom("false"), undefined);
});

test("what cannot be done is refused by name", () => {
  const table: [Record<string, string>, RegExp][] = [
    [
      { "build-arg:BUILDKIT_SYNTAX": "ghcr.io/other/frontend" },
      /frontend ghcr\.io\/other\/frontend is not supported/,
    ],
    [{ "context:x": "oci-layout://store@sha256:0" }, /oci-layout/],
    [{ "context:x": "input:y" }, /input/],
    [{ context: "ftp://x" }, /invalid build context/],
    [{ ulimit: "nofile" }, /invalid ulimit/],
    [{ "attest:provenance": "mode=most" }, /invalid mode "most"/],
    [{ platform: "linux/none/of/these" }, /cannot parse platform specifier: invalid argument/],
  ];
  for (const [attributes, expected] of table)
    assert.throws(
      () => buildRequest(input(attributes)),
      (error) => {
        assert(error instanceof EngineError, String(error));
        assert.match(error.message, expected);
        return true;
      },
    );
  assert.equal(
    buildRequest(input({ "attest:provenance": "mode=min,inline-only=true" })).provenance,
    undefined,
  );
});

test("a failure carries its place in the form that clients draw the excerpt from", () => {
  const plain = withDetails(new EngineError("notFound", "no such file"));
  assert.equal(plain.code, grpcCodes.unknown);
  const range = { start: { line: 2, character: 0 }, end: { line: 2, character: 3 } };
  const failure = {
    source: { name: "Dockerfile", text: "FROM a\nRUN" },
    ranges: [range],
    vertex: "sha256:1",
    exitCode: 1,
    command: "x",
    lastLines: [],
  };
  const { details } = withDetails(withBuildFailure(new EngineError("invalidArgument", "failed"), failure));
  const [source, vertex] = status.decode(details!).details;
  assert.equal(source?.type_url, "github.com/moby/buildkit/errdefs.Source+json");
  assert.deepEqual(JSON.parse(Buffer.from(source.value).toString()), {
    info: {
      filename: "Dockerfile",
      data: Buffer.from("FROM a\nRUN").toString("base64"),
      language: "Dockerfile",
    },
    ranges: [range],
  });
  assert.deepEqual(JSON.parse(Buffer.from(vertex!.value).toString()), { digest: "sha256:1" });
  const own = new GrpcError(grpcCodes.notFound, "x");
  assert.equal(withDetails(own), own);
});
