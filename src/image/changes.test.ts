import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import type { ImageConfig } from "../oci/image-spec.ts";
import { applyChanges } from "./changes.ts";

test("each instruction changes the configuration as a Dockerfile would", () => {
  const table: [string[], ImageConfig][] = [
    [['CMD ["sh","-c","echo hi"]'], { Cmd: ["sh", "-c", "echo hi"] }],
    [["cmd echo hi"], { Cmd: ["/bin/sh", "-c", "echo hi"] }],
    [['ENTRYPOINT ["/init"]'], { Entrypoint: ["/init"] }],
    [["ENTRYPOINT run $HOME"], { Entrypoint: ["/bin/sh", "-c", "run $HOME"] }],
    [["ENV A=1 B=\"two words\" C=a\\ b D='$A'"], { Env: ["A=1", "B=two words", "C=a b", "D=$A"] }],
    [["ENV A the whole rest"], { Env: ["A=the whole rest"] }],
    [["ENV A=1", "ENV B=2", "ENV A=3"], { Env: ["A=3", "B=2"] }],
    [["ENV A=1", "ENV B=$A-${A}x ${A}=${NO:-none}"], { Env: ["A=1", "B=1-1x", "1=none"] }],
    [["ENV A='x y'", "ENV B=$A", 'ENV C="<$A>"'], { Env: ["A=x y", "B=x y", "C=<x y>"] }],
    [
      ["EXPOSE 80 53/udp 8000-8002"],
      { ExposedPorts: { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {} } },
    ],
    [["LABEL a=b \"c d\"='e f' constructor=x"], { Labels: { a: "b", "c d": "e f", constructor: "x" } }],
    [["USER 1000:1000"], { User: "1000:1000" }],
    [['VOLUME ["/a b"]', "VOLUME /c /d"], { Volumes: { "/a b": {}, "/c": {}, "/d": {} } }],
    [["WORKDIR /a", "WORKDIR b/../c"], { WorkingDir: "/a/c" }],
    [["STOPSIGNAL SIGINT"], { StopSignal: "SIGINT" }],
    [["ONBUILD RUN make"], { OnBuild: ["RUN make"] }],
    [
      ["HEALTHCHECK --interval=1m30s --timeout=3s --retries=2 CMD curl localhost"],
      { Healthcheck: { Interval: 90e9, Timeout: 3e9, Retries: 2, Test: ["CMD-SHELL", "curl localhost"] } },
    ],
    [['HEALTHCHECK CMD ["a","b"]'], { Healthcheck: { Test: ["CMD", "a", "b"] } }],
    [["HEALTHCHECK NONE"], { Healthcheck: { Test: ["NONE"] } }],
    [["CMD a\nUSER b"], { Cmd: ["/bin/sh", "-c", "a"], User: "b" }],
    [["", "# nothing"], {}],
  ];
  for (const [changes, expected] of table)
    assert.deepEqual(applyChanges({}, changes), expected, changes.join("; "));
});

test("another program does not get the arguments of the one before", () => {
  const config = { Cmd: ["sh"], Entrypoint: ["/init"] };
  assert.deepEqual(applyChanges(config, ['ENTRYPOINT ["a"]']), { Entrypoint: ["a"] });
  assert.deepEqual(applyChanges(config, ['CMD ["b"]', 'ENTRYPOINT ["a"]']), {
    Cmd: ["b"],
    Entrypoint: ["a"],
  });
  assert.deepEqual(applyChanges(config, ["USER nobody"]), { ...config, User: "nobody" });
});

test("what is no change is refused", () => {
  const table: [string, RegExp][] = [
    ["RUN make", /^RUN is not a valid change command$/],
    ["constructor x", /^constructor is not a valid change command$/],
    ["CMD", /CMD requires at least one argument/],
    ["ENV A", /can't find =/],
    ["ENV =x", /names can not be blank/],
    ['LABEL a="b', /unexpected end of statement/],
    ["EXPOSE 0", /invalid containerPort: 0/],
    ["EXPOSE 70000", /invalid containerPort/],
    ["EXPOSE http", /invalid containerPort/],
    ["USER a b", /USER requires exactly one argument/],
    ["STOPSIGNAL ???", /invalid signal/],
    ["STOPSIGNAL BOGUS", /invalid signal: BOGUS/],
    ["WORKDIR", /WORKDIR requires exactly one argument/],
    ["VOLUME []", /VOLUME requires at least one argument/],
    ["ONBUILD ONBUILD RUN x", /Chaining ONBUILD/],
    ["HEALTHCHECK RUN x", /Unknown type/],
    ["HEALTHCHECK --interval=1 CMD x", /invalid duration/],
    ["HEALTHCHECK --interval=1us CMD x", /less than 1ms/],
    ["HEALTHCHECK --foo=1 CMD x", /--foo/],
  ];
  for (const [change, reason] of table)
    assert.throws(
      () => applyChanges({}, [change]),
      (error: unknown) => isKind(error, "invalidArgument") && reason.test(error.message),
      change,
    );
});
