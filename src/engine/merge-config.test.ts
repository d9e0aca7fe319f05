import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError } from "../base/errors.ts";
import type { ImageConfig } from "../oci/image-spec.ts";
import type { ContainerConfig } from "../wire/container.ts";
import { mergeConfig, mergeEnv } from "./merge-config.ts";

test("entrypoint and cmd are merged as Docker does", () => {
  const image: ImageConfig = { Entrypoint: ["/entry"], Cmd: ["serve"] };
  const table: [ContainerConfig, string[]][] = [
    [{}, ["/entry", "serve"]],
    [{ Cmd: ["other"] }, ["/entry", "other"]],
    [{ Entrypoint: ["/mine"] }, ["/mine"]],
    [{ Entrypoint: ["/mine"], Cmd: ["a"] }, ["/mine", "a"]],
    [{ Entrypoint: [""], Cmd: ["sh"] }, ["sh"]],
    [{ Entrypoint: null, Cmd: null }, ["/entry", "serve"]],
  ];
  for (const [request, command] of table) {
    const merged = mergeConfig(request, image);
    assert.deepEqual([...(merged.Entrypoint ?? []), ...(merged.Cmd ?? [])], command, JSON.stringify(request));
  }
});

test("nothing to run is refused", () => {
  assert.throws(() => mergeConfig({}, {}), new EngineError("invalidArgument", "no command specified"));
  assert.throws(() => mergeConfig({ Entrypoint: [""] }, { Cmd: ["sh"] }), /no command specified/);
});

test("a user's variable hides the image's of that name, others stay", () => {
  assert.deepEqual(mergeEnv(["A=1", "B=2", "PATH=/bin"], ["B=3", "C", "D="]), [
    "B=3",
    "C",
    "D=",
    "A=1",
    "PATH=/bin",
  ]);
  // Without "=" the name stands for "unset this one".
  assert.deepEqual(mergeEnv(["A=1"], ["A"]), ["A"]);
});

test("labels, ports, volumes and single values", () => {
  const merged = mergeConfig(
    { Cmd: ["x"], Labels: { a: "user" }, ExposedPorts: { "80/tcp": {} }, User: "", WorkingDir: "/w" },
    {
      Labels: { a: "image", b: "image" },
      ExposedPorts: { "53/udp": {} },
      Volumes: { "/data": {} },
      User: "www",
      WorkingDir: "/srv",
      StopSignal: "SIGQUIT",
    },
  );
  assert.deepEqual(merged.Labels, { a: "user", b: "image" });
  assert.deepEqual(Object.keys(merged.ExposedPorts!).sort(), ["53/udp", "80/tcp"]);
  assert.deepEqual(merged.Volumes, { "/data": {} });
  assert.equal(merged.User, "www");
  assert.equal(merged.WorkingDir, "/w");
  assert.equal(merged.StopSignal, "SIGQUIT");
});
