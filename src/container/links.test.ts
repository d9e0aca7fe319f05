import assert from "node:assert/strict";
import { test } from "node:test";
import { linkEnvironment, parseLink } from "./links.ts";

test("the variables of a link", () => {
  const env = linkEnvironment({
    name: "/web/my-db",
    alias: "my-db",
    address: "172.17.0.5",
    exposedPorts: ["8001/tcp", "3306/tcp", "53/udp", "8000/tcp", "8002/udp"],
    env: ["PATH=/bin", "MYSQL_PASS=se=cret", "HOME=/", "EMPTY="],
  });
  assert.deepEqual(env, [
    "MY_DB_PORT=udp://172.17.0.5:53",
    "MY_DB_PORT_8000_TCP_START=tcp://172.17.0.5:8000",
    "MY_DB_PORT_8000_TCP_ADDR=172.17.0.5",
    "MY_DB_PORT_8000_TCP_PROTO=tcp",
    "MY_DB_PORT_8000_TCP_PORT_START=8000",
    "MY_DB_PORT_8001_TCP_END=tcp://172.17.0.5:8001",
    "MY_DB_PORT_8001_TCP_PORT_END=8001",
    ...["53/udp", "3306/tcp", "8000/tcp", "8001/tcp", "8002/udp"].flatMap((key) => {
      const [port = "", protocol = ""] = key.split("/");
      const name = `MY_DB_PORT_${port}_${protocol.toUpperCase()}`;
      return [
        `${name}=${protocol}://172.17.0.5:${port}`,
        `${name}_ADDR=172.17.0.5`,
        `${name}_PORT=${port}`,
        `${name}_PROTO=${protocol}`,
      ];
    }),
    "MY_DB_NAME=/web/my-db",
    "MY_DB_ENV_MYSQL_PASS=se=cret",
    "MY_DB_ENV_EMPTY=",
  ]);
  assert.deepEqual(
    linkEnvironment({ name: "/web/db", alias: "db", address: "1.2.3.4", exposedPorts: [], env: [] }),
    ["DB_NAME=/web/db"],
  );
});

test("how links are written", () => {
  assert.deepEqual(parseLink("db"), { name: "db", alias: "db" });
  assert.deepEqual(parseLink("db:store"), { name: "db", alias: "store" });
  assert.deepEqual(parseLink("/db:/web/store"), { name: "db", alias: "store" });
  for (const bad of ["", ":", "a:b:c", "db:", ":x"]) assert.equal(parseLink(bad), undefined, bad);
});
