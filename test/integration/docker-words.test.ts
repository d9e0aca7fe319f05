/**
 * What the docker command line and gantry's own say of command lines that are wrong or rare: exit code, the last line of
 * standard output and the first of standard error, as dockerd 26.1 answers them and docker 28 tells them. The table runs
 * against dockerd, too (`GANTRY_TEST_ENGINE=docker`).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import type { RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

type Row = readonly [command: string, code: number, stdout: string, stderr: string, oldestDocker?: number];

/**
 * Words are split at spaces; `_` stands for an empty word. PROGRAM is the name of the command line. Older than
 * `oldestDocker`, a docker command line (Debian has 20.10 and 26.1) has other words for it.
 */
/** The docker command line may tell of the pipe that it broke off before it tells of the reason. */
const onlyOurs = Infinity;

const swarmWords =
  'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

const table: readonly Row[] = [
  ["events --since 1 --until 2 --filter nosuch=x", 0, "", ""],
  [
    "events --since 1 --until 2 --format {{.Bogus}}",
    64,
    "",
    'Error parsing format: template: :1:2: executing "" at <.Bogus>: can\'t evaluate field Bogus in type *events.Message',
  ],
  ["plugin rm nosuch", 1, "", 'Error response from daemon: plugin "nosuch" not found', 26],
  ["stop -s BOGUS up", 1, "", "Error response from daemon: cannot stop container: up: invalid signal: BOGUS"],
  ["update -m 1m up", 1, "", "Error response from daemon: Minimum memory limit allowed is 6MB"],
  [
    `tag ${busybox} sha256:x`,
    1,
    "",
    "Error response from daemon: refusing to create an ambiguous tag using digest algorithm as name",
  ],
  ["commit -c _ down", 1, "", "Error response from daemon: file with no instructions"],
  [
    "search --filter stars=x y",
    1,
    "",
    "Error response from daemon: invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax",
  ],
  [
    "export -o /dev/null up",
    1,
    "",
    "failed to export container: cannot write to a character device file",
    28,
  ],
  ["login --password-stdin", 1, "", "the --password-stdin option requires --username to be set", 28],
  ["cp /etc/hostname up:", 1, "", "no such directory", onlyOurs],
  ["swarm leave", 1, "", "Error response from daemon: This node is not part of a swarm"],
  ["node ls", 1, "", swarmWords],
  ["stack ps x", 1, "", swarmWords],
  ["secret ls", 1, "", swarmWords],
  [
    "kill nobody",
    1,
    "",
    "Error response from daemon: cannot kill container: nobody: No such container: nobody",
  ],
  [
    "kill -s nosuch up",
    1,
    "",
    "Error response from daemon: cannot kill container: up: invalid signal: nosuch",
  ],
  [
    "kill -s 99 up",
    1,
    "",
    "Error response from daemon: cannot kill container: up: the linux daemon does not support signal 99",
  ],
  ["kill -s 0 up", 1, "", "Error response from daemon: cannot kill container: up: invalid signal: 0"],
  [
    "rename up /",
    1,
    "",
    "Error response from daemon: Error when allocating new name: Invalid container name (/), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  ],
  [
    "rename up up",
    1,
    "",
    "Error response from daemon: Renaming a container with the same name as its current name",
  ],
  ["exec _ true", 1, "", "invalid container name or ID: value is empty", 28],
  ["wait _", 1, "", "invalid container name or ID: value is empty", 28],
  ["exec --env-file /nofile up true", 1, "", "open /nofile: no such file or directory"],
  ["attach down", 1, "", "You cannot attach to a stopped container, start it first"],
  ["port up foo", 1, "", 'Error: invalid port (foo): strconv.ParseUint: parsing "foo": invalid syntax', 26],
  [
    "port up 99999",
    1,
    "",
    'Error: invalid port (99999): strconv.ParseUint: parsing "99999": value out of range',
    26,
  ],
  ["port up 0", 1, "", "Error: No public port '0' published for up", 26],
  [
    "top up -o nosuch",
    1,
    "",
    'Error response from daemon: ps: error: unknown user-defined format specifier "nosuch"',
  ],
  ["logs --since x up", 1, "", 'invalid value for "since": failed to parse value as time or duration: "x"'],
  [
    "events --since 5 --until 3",
    1,
    "",
    "Error response from daemon: `since` time (5) cannot be after `until` time (3)",
  ],
  [
    "events --since 1h --until 0s --filter container=up --format {{.Bogus}}",
    64,
    "",
    'Error parsing format: template: :1:2: executing "" at <.Bogus>: can\'t evaluate field Bogus in type *events.Message',
  ],
  ["ps --filter exited=3 -q", 0, "", ""],
  ["ps -a --filter exited=3 --format {{.Names}}", 0, "down", ""],
  [
    "ps -a --filter exited=x",
    1,
    "",
    "Error response from daemon: invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax",
  ],
  [
    "ps -a --filter health=bogus",
    1,
    "",
    "Error response from daemon: unrecognized filter value for health: bogus",
  ],
  [
    "ps -a --filter publish=x",
    1,
    "",
    'Error response from daemon: error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax',
  ],
  [
    "ps -a --filter publish=9-8",
    1,
    "",
    "Error response from daemon: error while looking up for publish 9-8: Invalid range specified for the Port: 9-8",
  ],
  ["ps -a --filter id= -q", 0, "", ""],
  [
    "images --filter until=x",
    1,
    "",
    'Error response from daemon: failed to parse value as time or duration: "x"',
  ],
  ["images --filter reference=[", 1, "", "Error response from daemon: syntax error in pattern"],
  [
    "images --format {{.Bogus}}",
    1,
    "",
    'template parsing error: template: :1:2: executing "" at <.Bogus>: can\'t evaluate field Bogus in type *formatter.imageContext',
  ],
  ["inspect /up --format {{.Name}}", 0, "/up", ""],
  [`inspect ${busybox} --format {{.Variant}}{{.VirtualSize}}`, 0, "0", "", 26],
  ["inspect a,b", 1, "[]", "Error: No such object: a,b"],
  ["tag _ x", 1, "", 'Error parsing reference: "" is not a valid repository/tag: invalid reference format'],
  ["save _", 1, "", "Error response from daemon: invalid reference format"],
  ["cp :x /tmp", 1, "", "must specify at least one container source"],
  [
    "volume create x",
    1,
    "",
    "Error response from daemon: create x: volume name is too short, names should be at least two alphanumeric characters",
  ],
  ["volume rm -f nosuch", 0, "nosuch", ""],
  [
    "volume prune -af --filter all=1",
    1,
    "",
    "conflicting options: cannot specify both --all and --filter all=1",
    26,
  ],
  ["logout nosuch.example", 0, "Removing login credentials for nosuch.example", ""],
  [
    "login -p x --password-stdin reg",
    1,
    "",
    "conflicting options: cannot specify both --password and --password-stdin",
    28,
  ],
  [
    "commit -c STOPSIGNAL=bogus up",
    1,
    "",
    "Error response from daemon: STOPSIGNAL=bogus is not a valid change command",
  ],
  [
    `run --shm-size -1 ${busybox}`,
    125,
    "",
    'invalid argument "-1" for "--shm-size" flag: invalid size: \'-1\'',
  ],
  [
    `run --rm --link up --network container:up ${busybox}`,
    125,
    "",
    "PROGRAM: Error response from daemon: conflicting options: container type network can't be used with links. This would result in undefined behavior",
    28,
  ],
  [
    `run --rm --network container:down ${busybox} true`,
    125,
    "",
    "PROGRAM: Error response from daemon: cannot join network of a non running container: ID",
    28,
  ],
  [
    `run --rm --group-add nosuch ${busybox} true`,
    125,
    "",
    "PROGRAM: Error response from daemon: Unable to find group nosuch: no matching entries in group file",
    28,
  ],
  ["context rm nosuch", 1, "", 'context "nosuch" does not exist', 26],
  ["info --format {{.Bogus", 64, "", "template parsing error: template: :1: unclosed action"],
];

describe("words", () => {
  const suite = useDaemon();
  const clients: readonly (readonly [string, (words: string[]) => Promise<RunResult>])[] = [
    ["docker", (words) => suite.daemon.docker(words)],
    ...(flavour === "docker" ? [] : [["gantry", (words: string[]) => suite.daemon.gantry(words)] as const]),
  ];
  for (const [name, client] of clients)
    test(`${name}: wrong and rare command lines`, async () => {
      await suite.daemon.dockerOk(["run", "-d", "--name", "up", busybox, "sleep", "600"]);
      await suite.daemon.docker(["run", "--name", "down", busybox, "sh", "-c", "exit 3"]);
      const version = await suite.daemon.dockerOk(["version", "--format", "{{.Client.Version}}"]);
      const docker = Number.parseInt(version, 10);
      for (const [command, code, stdout, stderr, oldestDocker = 0] of table) {
        if (name === "docker" && docker < oldestDocker) continue;
        const words = command.split(" ").map((word) => (word === "_" ? "" : word));
        const result = await client(words);
        const seen = [result.code, result.stdout.trimEnd().split("\n").at(-1), result.stderr.split("\n")[0]];
        const masked = seen.map((text) =>
          typeof text === "string" ? text.replace(/\b[0-9a-f]{64}\b/, "ID") : text,
        );
        assert.deepEqual(masked, [code, stdout, stderr.replace("PROGRAM", name)], command);
      }
      await suite.daemon.removeContainers();
    });
});
