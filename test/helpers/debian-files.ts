/** Files of Debian packages, without installing them: by a list of packages of its own, kept between runs. */
import { constants, existsSync } from "node:fs";
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "./process.ts";

const fetchTimeoutMs = 300_000;

/** The directory into which packages of a release are unpacked. Throws when Debian's mirror cannot be reached. */
export async function debianFiles(release: string, packages: readonly string[]): Promise<string> {
  const cached = join(tmpdir(), `gantry-test-debian-${release}-${packages.join("-")}`);
  if (existsSync(cached)) return cached;
  await access("/usr/bin/apt-get", constants.X_OK);
  const directory = await mkdtemp(join(tmpdir(), "gantry-debian-"));
  try {
    await Promise.all(
      ["lists/partial", "archives/partial", "root"].map((name) =>
        mkdir(join(directory, name), { recursive: true }),
      ),
    );
    await writeFile(
      join(directory, "sources.list"),
      `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian ${release} main\n`,
    );
    await writeFile(join(directory, "status"), "");
    const options = {
      "Dir::Etc::sourcelist": join(directory, "sources.list"),
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::State::lists": join(directory, "lists"),
      "Dir::State::status": join(directory, "status"),
      "Dir::Cache": directory,
      "APT::Sandbox::User": "root",
    };
    const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const run = { timeoutMs: fetchTimeoutMs, cwd: directory };
    await mustRun(["apt-get", ...flags, "update"], run);
    await mustRun(["apt-get", ...flags, "download", ...packages], run);
    for (const name of await readdir(directory))
      if (name.endsWith(".deb"))
        await mustRun(["dpkg", "-x", join(directory, name), join(directory, "root")], run);
    // Another run may have been quicker.
    if (!existsSync(cached)) await rename(join(directory, "root"), cached);
    return cached;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
