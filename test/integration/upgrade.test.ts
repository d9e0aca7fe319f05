/** Data roots of earlier versions: `records-0.1.0.sql` is what a daemon of that version had written when it was killed. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../../src/base/database.ts";
import { NetworkRecords } from "../../src/network/records.ts";
import { flavour, repositoryRoot, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";

/** Makes the database of that daemon, as if its roots had been these. */
function makeRecords(path: string, roots: { readonly data: string; readonly exec: string }): void {
  const sql = readFileSync(join(repositoryRoot, "test/fixtures/records-0.1.0.sql"), "utf8");
  using database = openDatabase(path);
  database.exec(sql.replaceAll("@DATA@", roots.data).replaceAll("@EXEC@", roots.exec));
}

const skip = flavour === "docker";

test("a data root of gantry 0.1.0 opens with all that it has", { skip, timeout: 120_000 }, async () => {
  await using daemon = await TestDaemon.prepare();
  const database = join(daemon.dataRoot, "gantry.db");
  mkdirSync(daemon.dataRoot, { recursive: true });
  makeRecords(database, { data: daemon.dataRoot, exec: daemon.execRoot });
  mkdirSync(join(daemon.dataRoot, "volumes/data/_data"), { recursive: true });
  await daemon.launch();

  // The container that ran went with its machine.
  const listed = await daemon.dockerOk([
    "ps",
    "-a",
    "--format",
    "{{.Names}} {{.Image}} ({{.Mounts}}) {{.State}}",
  ]);
  assert.deepEqual(listed.split("\n").sort(), [
    "done gantry/busybox () exited",
    "keep gantry/busybox (data) exited",
  ]);
  const images = await daemon.dockerOk(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
  assert.deepEqual(images.split("\n").sort(), ["com:1", "gantry/busybox:latest"]);
  assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), "data");
  assert.equal(await daemon.dockerOk(["network", "inspect", "-f", "{{json .Containers}}", "bridge"]), "{}");

  // Everything can be taken away again, and there is a network for new containers.
  await daemon.dockerOk(["rm", "keep", "done"]);
  await daemon.dockerOk(["volume", "rm", "data"]);
  await daemon.dockerOk(["rmi", "com:1", "gantry/busybox"]);
  await ensureBusybox(daemon);
  assert.match(await daemon.dockerOk(["run", "--rm", busybox, "ip", "addr", "show", "eth0"]), /inet 10\./);
  await daemon.stop();
  await daemon.launch();
  assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
});

test("addresses, ports and devices of gantry 0.1.0's networks are known on", { skip }, async () => {
  await using daemon = await TestDaemon.prepare();
  const path = join(daemon.root, "gantry.db");
  makeRecords(path, { data: "/data", exec: "/exec" });
  using database = openDatabase(path);
  const records = new NetworkRecords(database);
  const [sandbox, ...others] = records.sandboxes();
  assert.deepEqual(others, []);
  assert.equal(sandbox?.containerName, "keep");
  assert.deepEqual(
    sandbox.endpoints.map(({ hostInterface, ipv4Address, driver, dnsNames, ipv6Address }) => ({
      hostInterface,
      ipv4Address,
      driver,
      dnsNames,
      ipv6Address,
    })),
    [
      {
        hostInterface: "ve1990222c05a0",
        ipv4Address: "10.209.21.2",
        driver: "bridge",
        dnsNames: [],
        ipv6Address: "",
      },
    ],
  );
  assert.deepEqual(
    sandbox.ports.map(({ hostIp, hostPort, containerPort }) => [hostIp, hostPort, containerPort]),
    [
      ["0.0.0.0", 18080, 80],
      ["::", 18080, 80],
    ],
  );
  const [endpoint] = sandbox.endpoints;
  assert.throws(
    () =>
      records.insert({ ...sandbox, containerId: "other", ports: [], endpoints: [{ ...endpoint!, id: "e" }] }),
    /UNIQUE constraint failed: network_addresses/,
  );
  records.remove(sandbox.containerId);
  records.insert({ ...sandbox, containerId: "other" });
  assert.equal(records.sandboxes()[0]?.containerId, "other");
});
