import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, test } from "node:test";
import type { SshProvider } from "./build.ts";
import { openGitAccess } from "./git-access.ts";

let work: string;
before(() => {
  work = mkdtempSync(join(tmpdir(), "gantry-git-access-"));
});
after(() => rmSync(work, { recursive: true, force: true }));

const forwards = (has: boolean): SshProvider => ({
  has: () => Promise.resolve(has),
  connect: () => Promise.resolve(new PassThrough()),
});

async function environment(remote: string, ssh: SshProvider | undefined): Promise<Record<string, string>> {
  await using undo = new AsyncDisposableStack();
  const client = ssh === undefined ? {} : { ssh };
  const place = { directory: join(work, "agent"), undo };
  return { ...(await openGitAccess(client, remote, place)).env };
}

const remotes = ["git@host:app", "ssh://git@host/app", "https://host/app.git", "git://host/app"];

for (const remote of remotes) {
  test(`no key of the daemon's is a client's: ${remote}`, async () => {
    const { GIT_SSH_COMMAND: command = "", SSH_AUTH_SOCK: socket } = await environment(
      remote,
      forwards(true),
    );
    assert.match(command, /^ssh -F \/dev\/null .*-o 'BatchMode=yes'.*-o 'IdentityFile=none'/);
    const isOverSsh = !remote.includes("://") || remote.startsWith("ssh:");
    assert.equal(command.includes("-o 'IdentityAgent=none'"), !isOverSsh);
    assert.equal(socket !== undefined, isOverSsh);
  });

  test(`who cannot forward an agent gets the daemon's keys, and no question: ${remote}`, async () => {
    const { GIT_SSH_COMMAND: command } = await environment(remote, undefined);
    assert.equal(command, "ssh -o BatchMode=yes");
  });
}

test("a client that could forward an agent and does not is told", async () => {
  await assert.rejects(environment("git@host:app", forwards(false)), /no SSH key "default" forwarded/);
  assert.match(
    (await environment("https://host/app.git", forwards(false)))["GIT_SSH_COMMAND"]!,
    /IdentityAgent=none/,
  );
});
