/** Programs and libraries that the daemon starts or loads. */
import { join } from "node:path";
import type { Finding } from "../../wire/doctor.ts";
import { note, ok, problem, warning } from "./finding.ts";
import type { DaemonPlaces, Machine } from "./machine.ts";

export async function programRules(machine: Machine, places: DaemonPlaces): Promise<Finding[]> {
  return [
    await conmon(machine),
    ...(await runtimes(machine, places)),
    libnftables(machine),
    helper(machine, { program: "git", package: "git", use: "builds of git addresses" }),
    helper(machine, { program: "xz", package: "xz-utils", use: "layers that xz packed" }),
    helper(machine, { program: "bzip2", package: "bzip2", use: "layers that bzip2 packed" }),
    initProgram(machine),
  ];
}

async function conmon(machine: Machine): Promise<Finding> {
  const path = machine.find("conmon");
  if (path === undefined)
    return problem(
      "program.conmon",
      "conmon is not installed: no container can be started",
      "apt-get install conmon",
    );
  const version = await machine.version(path);
  return version === undefined
    ? problem("program.conmon", `${path} does not run`, "apt-get install --reinstall conmon")
    : ok("program.conmon", version.replace(/^conmon version /, ""));
}

/** Why a runtime that is installed is not used, as the daemon's own trial found it. */
function trialFailure({ readText }: Machine, { execRoot }: DaemonPlaces, path: string): string {
  try {
    const findings = JSON.parse(readText(join(execRoot, "runtimes.json")) ?? "{}") as Record<
      string,
      { failure?: string }
    >;
    return findings[path]?.failure ?? "";
  } catch {
    return "";
  }
}

async function runtimes(machine: Machine, places: DaemonPlaces): Promise<Finding[]> {
  const found: Finding[] = [];
  let working = 0;
  for (const name of ["crun", "runc"]) {
    const path = machine.find(name);
    if (path === undefined) continue;
    const id = `program.${name}`;
    const version = await machine.version(path);
    const failure = version === undefined ? "it does not run" : trialFailure(machine, places, path);
    if (failure === "") {
      working += 1;
      found.push(ok(id, version!.replace(/^\w+ version /, "")));
    } else
      found.push(
        warning(
          id,
          `${path} cannot start containers here: ${failure}`,
          `apt-get install --reinstall ${name}`,
        ),
      );
  }
  if (working === 0 && places.defaultRuntime === "")
    found.push(
      problem(
        "program.runtime",
        "no OCI runtime works here: no container can be started",
        "apt-get install crun",
      ),
    );
  return found;
}

const libraryDirectories = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
];

function libnftables({ exists }: Machine): Finding {
  return libraryDirectories.some((directory) => exists(`${directory}/libnftables.so.1`))
    ? ok("program.libnftables", "is there")
    : problem(
        "program.libnftables",
        "libnftables is not installed: networks cannot be set up",
        "apt-get install libnftables1",
      );
}

function helper(
  { find }: Machine,
  wanted: { readonly program: string; readonly package: string; readonly use: string },
): Finding {
  const id = `program.${wanted.program}`;
  return find(wanted.program) === undefined
    ? note(
        id,
        `${wanted.program} is not installed: ${wanted.use} do not work`,
        `apt-get install ${wanted.package}`,
      )
    : ok(id, "is there");
}

function initProgram({ find }: Machine): Finding {
  const id = "program.init";
  const found = ["docker-init", "tini", "catatonit", "tini-static"].find((name) => find(name) !== undefined);
  return found === undefined
    ? note(id, "there is no small init: run --init does not work", "apt-get install tini")
    : ok(id, found);
}
