/**
 * A bundle of its own, tried before the one of compose (`scripts/start.cjs`): `compose up -d` where nothing has changed since
 * the same command line last found nothing to do. It parses no files, it only makes sure that they and the daemon are as
 * they were then.
 */
import { isatty } from "node:tty";
import { ProgressView } from "./cli/compose/progress-view.ts";
import { CliError } from "./cli/errors.ts";
import { gantryVersion } from "./cli/version-number.ts";
import { writeAll } from "./cli/write-all.ts";
import { connect } from "./client/client.ts";
import { observe } from "./compose/act/observe.ts";
import { sameAnswers } from "./compose/file/disk.ts";
import { factsOf } from "./compose/unchanged/facts.ts";
import { readMemo, type Memo } from "./compose/unchanged/memo.ts";

/** The exit code when the command is done; undefined when it has to be carried out: nothing was done or said then. */
export async function endUnchanged(words: readonly string[]): Promise<number | undefined> {
  const memo = readMemo({ words, env: process.env, cwd: process.cwd() });
  if (memo === undefined || memo.view.isTerminal !== isatty(2)) return undefined;
  using client = connect(memo.host, {
    apiVersion: memo.apiVersion,
    userAgent: `gantry/${gantryVersion} (linux)`,
  });
  // The daemon answers while the files are looked at.
  const facts = observe(client, memo.wanted).then(factsOf, () => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  if (!sameAnswers(memo.disk) || (await facts) !== memo.facts) return undefined;
  try {
    show(memo);
    return 0;
  } catch (error) {
    // Standard error itself does not take what is to be said.
    return error instanceof CliError ? error.exitCode : 1;
  }
}

function show({ view, events }: Memo): void {
  let text = "";
  const progress = new ProgressView(
    {
      mode: view.mode,
      colours: view.colours,
      columns: () => (view.isTerminal && process.stderr.columns) || 80,
      rows: () => (view.isTerminal && process.stderr.rows) || 24,
      write: (part) => (text += part),
    },
    "Running",
  );
  for (const event of events) progress.report(event);
  progress.finish();
  writeAll(2, text);
}
