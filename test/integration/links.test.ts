/** Links between containers: hosts lines and the old variables on the default bridge, aliases on networks of users. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("links", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const address = (name: string): Promise<string> =>
    ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name);

  test("variables, hosts lines and names in listings; another address is followed", async () => {
    await ok(
      "run",
      "-d",
      "--name",
      "mysql",
      "-h",
      "dbhost",
      "--expose",
      "3306",
      "-e",
      "MYSQL_PASS=s3",
      busybox,
      "sleep",
      "600",
    );
    const first = await address("mysql");
    await ok(
      "run",
      "-d",
      "--name",
      "web",
      "--link",
      "mysql:db",
      "-e",
      "DB_NAME=mine",
      busybox,
      "sleep",
      "600",
    );
    const env = (await ok("exec", "web", "env")).split("\n");
    for (const entry of [
      `DB_PORT=tcp://${first}:3306`,
      `DB_PORT_3306_TCP=tcp://${first}:3306`,
      `DB_PORT_3306_TCP_ADDR=${first}`,
      "DB_PORT_3306_TCP_PORT=3306",
      "DB_PORT_3306_TCP_PROTO=tcp",
      "DB_ENV_MYSQL_PASS=s3",
      // The user's own wins.
      "DB_NAME=mine",
    ])
      assert.ok(env.includes(entry), `${entry} in ${env.join(" ")}`);
    const hosts = (): Promise<string> => ok("exec", "web", "cat", "/etc/hosts");
    assert.match(await hosts(), new RegExp(`^${first}\tdb dbhost mysql$`, "m"));
    assert.equal(
      await ok("exec", "web", "sh", "-c", "ping -c1 -w3 db >/dev/null && echo reached"),
      "reached",
    );
    assert.equal(await ok("inspect", "-f", "{{.HostConfig.Links}}", "web"), "[/mysql:/web/db]");
    assert.match(
      await ok("ps", "--no-trunc", "--format", "{{.Names}}", "-f", "name=mysql"),
      /^mysql,web\/db$/,
    );
    // Somebody else takes its address while it is stopped.
    await ok("stop", "-t", "0", "mysql");
    await ok("run", "-d", "--name", "taker", busybox, "sleep", "600");
    for (let i = 0; (await address("taker")) !== first && i < 4; i++)
      await ok("run", "-d", "--name", `taker${i}`, busybox, "sleep", "600");
    await ok("start", "mysql");
    const second = await address("mysql");
    assert.notEqual(second, first);
    assert.match(await hosts(), new RegExp(`^${second}\tdb dbhost mysql$`, "m"));
    assert.doesNotMatch(await hosts(), new RegExp(`^${first}\tdb`, "m"));
    await ok("rename", "mysql", "sql");
    assert.equal(await ok("inspect", "-f", "{{.HostConfig.Links}}", "web"), "[/sql:/web/db]");
    await ok("rm", "--link", "/web/db");
    assert.equal(await ok("inspect", "-f", "{{.HostConfig.Links}}", "web"), "[]");
  });

  test("what cannot be linked to is refused in Docker's words", async () => {
    await ok("create", "--name", "still", busybox);
    await ok("run", "-d", "--name", "hosted", "--network", "host", busybox, "sleep", "600");
    const cases: readonly (readonly [string[], RegExp])[] = [
      [["--link", "nobody"], /could not get container for nobody: No such container: nobody/],
      [["--link", "hosted"], /host type networking can't be used with links/],
      [["--link", "still:s", "--network", "host"], /host type networking can't be used with links/],
      [["--name", "web", "--link", "still:s"], /Cannot link to a non running container: \/still AS \/web\/s/],
    ];
    for (const [flags, words] of cases) {
      const result = await suite.daemon.docker(["run", ...flags, busybox, "true"]);
      assert.equal(result.code, 125, flags.join(" "));
      assert.match(result.stderr, words);
    }
  });

  test("a link that is given twice is one line", async () => {
    await ok("run", "-d", "--name", "twice", busybox, "sleep", "600");
    const hosts = await ok(
      "run",
      "--rm",
      "--link",
      "twice:db",
      "--link",
      "twice:db",
      busybox,
      "cat",
      "/etc/hosts",
    );
    assert.equal(hosts.match(/\tdb /g)?.length, 1, hosts);
    await suite.daemon.removeContainers();
  });

  test("on a network of a user's a link is a name", async () => {
    await ok("network", "create", "gt-nam-l");
    try {
      await ok("run", "-d", "--name", "db", "--network", "gt-nam-l", busybox, "sleep", "600");
      const answer = await ok(
        "run",
        "--rm",
        "--network",
        "gt-nam-l",
        "--link",
        "db:store",
        busybox,
        "nslookup",
        "store.",
      );
      assert.match(answer, /Name:\s+store/);
      assert.doesNotMatch(
        await ok("run", "--rm", "--network", "gt-nam-l", "--link", "db:store", busybox, "env"),
        /STORE_/,
      );
    } finally {
      await suite.daemon.removeContainers();
      await ok("network", "rm", "gt-nam-l");
    }
  });
});
