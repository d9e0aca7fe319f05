/** Repositories as they are checked out, with the machine's git. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { checkoutGit, resolveGit } from "./git-sources.ts";

const hasGit = spawnSync("git", ["--version"]).status === 0;

describe("a repository", { skip: !hasGit && "git is not installed" }, () => {
  let work: string;
  before(() => {
    work = mkdtempSync(join(tmpdir(), "gantry-git-sources-"));
  });
  after(() => rmSync(work, { recursive: true, force: true }));

  function repository(name: string, files: Readonly<Record<string, string>>): (...args: string[]) => void {
    const cwd = join(work, name);
    mkdirSync(cwd);
    const settings = ["user.name=x", "user.email=x@localhost", "protocol.file.allow=always"];
    const git = (...args: string[]): void => {
      execFileSync("git", [...settings.flatMap((setting) => ["-c", setting]), ...args], {
        cwd,
        stdio: "pipe",
      });
    };
    git("init", "-q", "-b", "main", ".");
    for (const [file, text] of Object.entries(files)) writeFileSync(join(cwd, file), text);
    git("add", ".");
    git("commit", "-qm", "one");
    return git;
  }

  test("names no commands by settings that it has in its files", async () => {
    repository("part", { inner: "of the submodule\n" });
    const done = join(work, "done");
    const git = repository("whole", {
      file: "of the repository\n",
      ".gitconfig": `[protocol "file"]\n\tallow = always\n[submodule "part"]\n\tupdate = "!touch ${done}; :"\n`,
    });
    git("submodule", "add", "-q", join(work, "part"), "part");
    git("commit", "-qm", "two");
    const source = { remote: join(work, "whole"), ref: "main", subdirectory: "" };
    const { signal } = new AbortController();
    const access = { env: {} };
    const commit = await resolveGit(source, access, signal);
    const directory = join(work, "out");
    const checkout = { directory, commit, keepGitDirectory: false, access, signal };
    // Newer git takes no submodules out of directories, which those settings allow.
    await checkoutGit(source, checkout).catch(() => undefined);
    assert.equal(readFileSync(join(directory, "file"), "utf8"), "of the repository\n");
    assert.equal(existsSync(done), false);
  });

  const checkedOut = async (
    name: string,
    { ref = "main", subdirectory = "", keepGitDirectory = false } = {},
  ): Promise<string> => {
    const source = { remote: join(work, name), ref, subdirectory };
    const { signal } = new AbortController();
    const access = { env: {} };
    const commit = await resolveGit(source, access, signal);
    const directory = mkdtempSync(join(work, "out-"));
    return (await checkoutGit(source, { directory, commit, keepGitDirectory, access, signal })).path;
  };

  test("has no directories but its own", async () => {
    const git = repository("links", { file: "text\n" });
    const at = join(work, "links");
    mkdirSync(join(at, "in/deep"), { recursive: true });
    writeFileSync(join(at, "in/deep/file"), "deep\n");
    symlinkSync(work, join(at, "in/away"));
    symlinkSync("deep", join(at, "in/near"));
    git("add", ".");
    git("commit", "-qm", "two");
    assert.deepEqual(readdirSync(await checkedOut("links", { subdirectory: "in/./deep" })), ["file"]);
    const refused: readonly (readonly [string, string])[] = [
      ["in/away", "in/away"],
      ["in/away/links", "in/away"],
      ["in/near", "in/near"],
      ["file", "file"],
    ];
    for (const [subdirectory, part] of refused)
      await assert.rejects(checkedOut("links", { subdirectory }), {
        message: `invalid subdir /${subdirectory}: git subpath "/${subdirectory}" contains non-directory "${part}"`,
      });
    for (const subdirectory of ["nowhere", "in/../file", "../links"])
      await assert.rejects(checkedOut("links", { subdirectory }), { kind: "notFound" });
  });

  test("may have links to anywhere: nothing behind them is walked through or removed", async () => {
    const git = repository("loops", { file: "text\n" });
    const outside = join(work, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, ".git"), "gitdir: elsewhere\n");
    symlinkSync(outside, join(work, "loops/away"));
    symlinkSync("..", join(work, "loops/up"));
    git("add", ".");
    git("commit", "-qm", "two");
    assert.deepEqual(readdirSync(await checkedOut("loops")).sort(), ["away", "file", "up"]);
    assert.equal(readFileSync(join(outside, ".git"), "utf8"), "gitdir: elsewhere\n");
  });

  test("knows the tag or branch that was asked for, when it is kept", async () => {
    const git = repository("tagged", { file: "text\n" });
    git("tag", "-am", "one", "v1");
    git("tag", "light");
    git("branch", "side/way");
    const refs = async (ref: string): Promise<string> => {
      const path = await checkedOut("tagged", { ref, keepGitDirectory: true });
      assert.equal(existsSync(join(path, ".git/FETCH_HEAD")), false);
      return execFileSync("git", ["for-each-ref", "--format=%(objecttype) %(refname)"], {
        cwd: path,
        encoding: "utf8",
      }).trim();
    };
    assert.equal(await refs("v1"), "tag refs/tags/v1");
    assert.equal(await refs("light"), "commit refs/tags/light");
    assert.equal(await refs("refs/tags/light"), "commit refs/tags/light");
    assert.equal(await refs("side/way"), "commit refs/heads/side/way");
    assert.equal(await refs(""), "");
  });

  test("keeps no password of its address in what it keeps of git", async () => {
    const git = repository("served", { file: "text\n" });
    git("update-server-info");
    const root = join(work, "served/.git");
    const server = createServer((request, response) => {
      const path = join(root, new URL(request.url ?? "/", "http://host").pathname.replace(/^\/app\.git/, ""));
      if (existsSync(path)) response.end(readFileSync(path));
      else response.writeHead(404).end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const remote = `http://user:token@127.0.0.1:${port}/app.git`;
      const source = { remote, ref: "main", subdirectory: "" };
      const { signal } = new AbortController();
      const access = { env: {} };
      const commit = await resolveGit(source, access, signal);
      const directory = join(work, "kept");
      await checkoutGit(source, { directory, commit, keepGitDirectory: true, access, signal });
      const config = readFileSync(join(directory, ".git/config"), "utf8");
      assert.match(config, new RegExp(`url = http://xxxxx:xxxxx@127.0.0.1:${port}/app.git`));
      for (const file of readdirSync(join(directory, ".git"), { recursive: true, withFileTypes: true }))
        if (file.isFile())
          assert.doesNotMatch(readFileSync(join(file.parentPath, file.name), "latin1"), /token@/, file.name);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
