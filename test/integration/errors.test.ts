/** Bad input: a status, a sentence that names the thing, and nothing left behind (the leak check after each test). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox, busyboxTar } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";
import { askRaw } from "../helpers/raw-request.ts";
import { useDaemon } from "../helpers/suite.ts";

const create = (body: object): string => JSON.stringify({ Image: busybox, Cmd: ["true"], ...body });

/** 20.10 answers 500 to these, with the same words; newer ones 400. */
const was500 = new Set([
  "create with a bind that is malformed",
  "create with a bind target that is relative",
  "create with a bind on /",
  "a tag that is malformed",
]);

describe("errors of the API", () => {
  const suite = useDaemon({ leaves: ["data-root"] });

  /** name, method, path, body, status, message. */
  const table: [string, string, string, string | Buffer | undefined, number, RegExp][] = [
    ["a path that does not exist", "GET", "/v1.41/no/such/path", undefined, 404, /page not found/],
    ["a path without a version that does not exist", "GET", "/nowhere", undefined, 404, /page not found/],
    [
      "a version that is too new",
      "GET",
      "/v1.99/version",
      undefined,
      400,
      /client version 1\.99 is too new\. Maximum supported API version is 1\.\d+/,
    ],
    [
      "an unknown container",
      "GET",
      "/v1.41/containers/nobody/json",
      undefined,
      404,
      /No such container: nobody/,
    ],
    [
      "start of an unknown container",
      "POST",
      "/v1.41/containers/nobody/start",
      undefined,
      404,
      /No such container: nobody/,
    ],
    [
      "removal of an unknown container",
      "DELETE",
      "/v1.41/containers/nobody",
      undefined,
      404,
      /No such container: nobody/,
    ],
    [
      "an unknown exec",
      "GET",
      `/v1.41/exec/${"0".repeat(64)}/json`,
      undefined,
      404,
      /No such exec instance/i,
    ],
    [
      "an unknown image",
      "GET",
      "/v1.41/images/no/such:tag/json",
      undefined,
      404,
      /No such image: no\/such:tag/,
    ],
    [
      "removal of an unknown image",
      "DELETE",
      "/v1.41/images/nosuch",
      undefined,
      404,
      /No such image: nosuch:latest/,
    ],
    ["an unknown network", "GET", "/v1.41/networks/nonet", undefined, 404, /network nonet not found/],
    ["an unknown volume", "GET", "/v1.41/volumes/novol", undefined, 404, /no such volume/i],
    [
      "create from an unknown image",
      "POST",
      "/v1.41/containers/create",
      create({ Image: "no/such:1" }),
      404,
      /No such image: no\/such:1/,
    ],
    [
      "create with a name that is none",
      "POST",
      "/v1.41/containers/create?name=bad%20name",
      create({}),
      400,
      /Invalid container name \(bad name\), only \[a-zA-Z0-9\]/,
    ],
    [
      "create without a command",
      "POST",
      "/v1.41/containers/create",
      create({ Entrypoint: [""], Cmd: [] }),
      400,
      /[Nn]o command specified/,
    ],
    [
      "create with a working directory that is relative",
      "POST",
      "/v1.41/containers/create",
      create({ WorkingDir: "not/absolute" }),
      400,
      /working directory 'not\/absolute' is invalid/,
    ],
    [
      "create with an environment that is malformed",
      "POST",
      "/v1.41/containers/create",
      create({ Env: ["=nothing"] }),
      400,
      /invalid environment variable: =nothing/,
    ],
    [
      "create with too little memory",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Memory: 1024 } }),
      400,
      /[Mm]inimum memory limit allowed is 6\s?MB/,
    ],
    [
      "create with an unknown restart policy",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { RestartPolicy: { Name: "sometimes" } } }),
      400,
      /invalid restart policy/,
    ],
    [
      "create with --rm and a restart policy",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { AutoRemove: true, RestartPolicy: { Name: "always" } } }),
      400,
      /can't create 'AutoRemove' container with restart policy/,
    ],
    [
      "create with a bind that is malformed",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Binds: ["/a:/b:ro:too:much"] } }),
      400,
      /invalid volume specification/,
    ],
    [
      "create with a bind target that is relative",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Binds: ["/tmp:relative"] } }),
      400,
      /invalid (volume specification|mount path)/,
    ],
    [
      "create with a bind on /",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Binds: ["/tmp:/"] } }),
      400,
      /destination can't be '\/'/,
    ],
    [
      "create with an unknown mount type",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Mounts: [{ Type: "magic", Target: "/x" }] } }),
      400,
      /mount type unknown|invalid mount config|unknown mount type/i,
    ],
    [
      "create with an unknown runtime",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Runtime: "norun" } }),
      400,
      /[Uu]nknown (or invalid )?runtime.*norun/,
    ],
    [
      "import of what is no tar",
      "POST",
      "/v1.41/images/create?fromSrc=-&repo=bad%2Fimport",
      Buffer.from("this is no tar".repeat(100)),
      0,
      /./,
    ],
    [
      "a tag that is malformed",
      "POST",
      `/v1.41/images/${encodeURIComponent(busybox)}/tag?repo=lower%2FUPPER&tag=x`,
      undefined,
      400,
      /invalid reference format|repository name must be lowercase/,
    ],
    [
      "a tag of an unknown image",
      "POST",
      "/v1.41/images/nosuch/tag?repo=a&tag=b",
      undefined,
      404,
      /No such image/,
    ],
    [
      "a pull of a malformed reference",
      "POST",
      "/v1.41/images/create?fromImage=lower%2FUPPER&tag=x",
      undefined,
      400,
      /invalid reference format/,
    ],
    ["rename without a name", "POST", "/v1.41/containers/nobody/rename", undefined, 0, /./],
  ];
  for (const [name, method, path, body, status, message] of table) {
    test(name, async () => {
      const type = Buffer.isBuffer(body) ? "application/x-tar" : "application/json";
      const answer = await askRaw(suite.daemon, `${method} ${path}`, body, type);
      if (status === 0) {
        // An error before or inside the stream; which one is the engine's choice.
        assert.ok(
          answer.status >= 400 || /"error/.test(answer.message),
          `${answer.status} ${answer.message}`,
        );
        return;
      }
      const expected = suite.daemon.flavour === "docker" && was500.has(name) ? 500 : status;
      assert.equal(answer.status, expected, answer.message);
      assert.equal(answer.contentType, "application/json");
      assert.match(answer.message, message);
    });
  }

  /** 20.10 answers 500 to some of these, or nothing; so they are asked of gantry only. */
  const gantryOnly: [string, string, string, string | undefined, number, RegExp][] = [
    [
      "create with an unknown log driver",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { LogConfig: { Type: "nolog" } } }),
      400,
      /nolog/,
    ],
    ["JSON that is malformed", "POST", "/v1.41/containers/create", '{"Image": ', 400, /JSON/],
    ["data after the JSON", "POST", "/v1.41/containers/create", `${create({})} more`, 400, /JSON/],
    ["JSON of another shape", "POST", "/v1.41/containers/create", create({ Env: "A=1" }), 400, /Env/],
    [
      "a field of another type inside",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Memory: "lots" } }),
      400,
      /Memory/,
    ],
    [
      "a port that is malformed",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { PortBindings: { "http/tcp": [{ HostPort: "80" }] } } }),
      400,
      /port/i,
    ],
    [
      "a host port over 65535",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "70000" }] } } }),
      400,
      /70000/,
    ],
    [
      "an exposed port of an unknown protocol",
      "POST",
      "/v1.41/containers/create",
      create({ ExposedPorts: { "80/foo": {} } }),
      400,
      /foo/,
    ],
    ["filters that are no JSON", "GET", "/v1.41/containers/json?filters=%7Bbad", undefined, 400, /filter/i],
    ["a limit that is no number", "GET", "/v1.41/containers/json?limit=many", undefined, 400, /many/],
    [
      "an unknown filter",
      "GET",
      "/v1.41/images/json?filters=%7B%22foo%22%3A%7B%22x%22%3Atrue%7D%7D",
      undefined,
      400,
      /invalid filter 'foo'/,
    ],
    [
      "a mount without a target",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { Mounts: [{ Type: "bind", Source: "/tmp" }] } }),
      400,
      /[Tt]arget|field/,
    ],
    [
      "a stop signal that does not exist",
      "POST",
      "/v1.41/containers/create",
      create({ StopSignal: "SIGNOPE" }),
      400,
      /SIGNOPE/,
    ],
    [
      "negative cpus",
      "POST",
      "/v1.41/containers/create",
      create({ HostConfig: { NanoCpus: -1 } }),
      400,
      /cpu/i,
    ],
    [
      "an exec without a command",
      "POST",
      "/v1.41/containers/nobody/exec",
      JSON.stringify({ Cmd: [] }),
      // The request is judged first.
      400,
      /No exec command specified/,
    ],
  ];
  for (const [name, method, path, body, status, message] of gantryOnly) {
    test(name, async (context) => {
      if (suite.daemon.flavour === "docker") return context.skip("20.10 has other statuses here");
      const answer = await askRaw(suite.daemon, `${method} ${path}`, body);
      assert.equal(answer.status, status, answer.message);
      assert.equal(answer.contentType, "application/json");
      assert.match(answer.message, message);
    });
  }

  test("a body without its content type", async () => {
    const answer = await askRaw(suite.daemon, "POST /v1.41/containers/create", create({}), "text/plain");
    assert.equal(answer.status, 400);
    assert.match(answer.message, /Content-Type/i);
  });

  test("a name in use is 409 and names the holder", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["create", "--name", "taken", busybox, "true"]);
    const answer = await askRaw(daemon, "POST /v1.41/containers/create?name=taken", create({}));
    assert.equal(answer.status, 409);
    assert.equal(
      answer.message,
      `Conflict. The container name "/taken" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  });

  test("an ambiguous id prefix is refused", async () => {
    const { daemon } = suite;
    const prefixes = new Map<string, number>();
    for (let n = 0; n < 17; n++) {
      const id = await daemon.dockerOk(["create", busybox, "true"]);
      prefixes.set(id.slice(0, 1), (prefixes.get(id.slice(0, 1)) ?? 0) + 1);
    }
    const [shared] = [...prefixes].find(([, count]) => count > 1) ?? [""];
    const answer = await askRaw(daemon, `GET /v1.41/containers/${shared}/json`);
    assert.ok(
      answer.status === 400 || (daemon.flavour === "docker" && answer.status >= 400),
      `${answer.status}`,
    );
    assert.match(answer.message, /[Mm]ultiple IDs found with provided prefix/);
  });

  test("load of what is no archive", async () => {
    const { daemon } = suite;
    for (const input of [Buffer.alloc(0), Buffer.from("no tar at all".repeat(1000)), Buffer.alloc(10_240)]) {
      const result = await daemon.docker(["load"], { input });
      if (daemon.flavour === "gantry")
        assert.equal(result.code, 1, `${input.length} bytes: ${result.stdout}`);
    }
    const root = await daemon.host.run(["mktemp", "-d"]);
    const archive = await busyboxTar(root.stdout.trim());
    // A good tar, cut in the middle.
    await mustRun(["sh", "-c", `head -c 700000 ${archive} > ${archive}.cut`]);
    const cut = await daemon.docker(["import", `${archive}.cut`, "cut:1"]);
    await daemon.host.run(["rm", "-rf", root.stdout.trim()]);
    assert.notEqual(cut.code, 0);
    assert.equal(await daemon.dockerOk(["images", "-q", "cut"]), "");
  });

  test("a bind source that cannot be mounted fails the start, and can be mended", async () => {
    const { daemon } = suite;
    const file = await daemon.file("plain-file", "x");
    const result = await daemon.docker(["run", "--name", "odd", "-v", `${file}:/etc`, busybox, "true"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /not a directory|mount/i);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", "odd"]), "created");
  });
});
