/** Runs a number of requests in several lanes, judges each answer, and collects what must not be. */
import type { TestDaemon } from "../helpers/daemon.ts";
import { tend } from "./garden.ts";
import { readApiDescription } from "./operations.ts";
import { type RawAnswer, send } from "./raw-client.ts";
import { type FuzzRequest, makeRequest, operationsOf } from "./requests.ts";
import { randomFrom } from "../crash/load.ts";
import type { Pools } from "./values.ts";

export interface CampaignOptions {
  readonly seed: number;
  readonly requests: number;
  readonly lanes: number;
  readonly directory: string;
  /** Ends the campaign early; requests that were not sent are not counted. */
  readonly untilMs?: number;
}

export interface Outcome {
  readonly sent: number;
  /** How often each status came. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Operations that were answered other than with "not found" or "invalid" at least once. */
  readonly reached: ReadonlySet<string>;
  /** One report for each sort of failure. */
  readonly findings: readonly string[];
}

const tendEvery = 60;
/** Statuses that the API may answer with; of the fives only "not served here" and "no swarm". */
const allowed = new Set([
  101, 200, 201, 204, 304, 400, 401, 403, 404, 408, 409, 413, 415, 417, 431, 499, 501, 503,
]);
/** Words of errors that are bugs: of the language, of Node and of the database. */
const bugWords =
  /Cannot (read|set|convert|mix|destructure)|is not a function|is not iterable|is not defined|undefined|Invalid array length|Maximum call stack|must be of type|ERR_[A-Z]|\[object |NaN|SQLITE|constraint failed/g;

export async function campaign(daemon: TestDaemon, options: CampaignOptions): Promise<Outcome> {
  const api = readApiDescription();
  const operations = operationsOf(api);
  const statuses = new Map<number, number>();
  const reached = new Set<string>();
  const findings = new Map<string, string>();
  /** Words that look like a bug and are in what the daemon was given to keep: a network may well be named "NaN". */
  const given = new Set<string>();
  /** The same of requests that are not answered yet: other lanes may meet what they have made. */
  const underWay = new Set<readonly string[]>();
  let pools: Pools = await tend(daemon, options.directory);
  let next = 0;
  let sent = 0;
  let tending: Promise<void> = Promise.resolve();
  const lane = async (): Promise<void> => {
    while (next < options.requests && findings.size < 40) {
      if (options.untilMs !== undefined && performance.now() > options.untilMs) return;
      const number = next++;
      if (number > 0 && number % tendEvery === 0) {
        tending = tend(daemon, options.directory).then((fresh) => void (pools = fresh));
      }
      await tending;
      const operation = operations[number % operations.length]!;
      const random = randomFrom(options.seed * 1_000_003 + number);
      const request = makeRequest(operation, api, { random, pools });
      const own = bugWordsIn(textOf(request));
      underWay.add(own);
      const answer = await send(daemon.socket, request.pieces, request.options).catch((error: unknown) => {
        throw new Error(`request ${number} of seed ${options.seed}, ${request.label}: ${String(error)}`);
      });
      sent += 1;
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      if ([101, 200, 201, 204].includes(answer.status)) reached.add(`${operation.method} ${operation.path}`);
      // What nobody waited for may have been taken all the same.
      if (answer.status < 400) for (const word of own) given.add(word);
      const fault = faultOf(request, answer, new Set([...[...underWay].flat(), ...given]));
      underWay.delete(own);
      if (fault === undefined) continue;
      const key = `${operation.method} ${operation.path} ${fault.slice(0, 60)}`;
      if (!findings.has(key)) findings.set(key, report(number, request, fault));
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  return { sent, statuses, reached, findings: [...findings.values()] };
}

/** `notOurs`: words of bugs that the daemon may say, because it was told them. */
function faultOf(request: FuzzRequest, answer: RawAnswer, notOurs: ReadonlySet<string>): string | undefined {
  const { status, body, end } = answer;
  if (status === 0) {
    if (!request.isAnswerable) return undefined;
    return end === "waited"
      ? "no answer came"
      : `the connection was closed without an answer (${answer.head})`;
  }
  if (!allowed.has(status)) return `status ${status}: ${body.slice(0, 500)}`;
  const isText = status >= 400 || /errorDetail/.test(body);
  const strange = isText ? bugWordsIn(ownWords(body)).filter((word) => !notOurs.has(word)) : [];
  if (strange.length > 0) return `words of a bug (${strange.join(", ")}): ${body.slice(0, 500)}`;
  if (
    status >= 400 &&
    end === "answered" &&
    body !== "" &&
    !/^\{"message":"[^]+"\}\n$/.test(body) &&
    !isPlain(answer)
  )
    return `an error without a message: ${body.slice(0, 300)}`;
  return undefined;
}

/** What an error says without the words in quotes, which may be the request's own. */
function ownWords(body: string): string {
  return body.replaceAll(/\\"(?:[^"\\]|\\[^"])*\\"/g, "").slice(0, 2_000);
}

const bugWordsIn = (text: string): string[] => [...text.matchAll(bugWords)].map(([word]) => word);

/** What a request says, in its target and its body, without the coding of addresses. */
function textOf({ label, body }: FuzzRequest): string {
  const target = label.replaceAll(/(?:%[0-9a-f]{2})+/gi, (coded) =>
    Buffer.from(coded.replaceAll("%", ""), "hex").toString("utf8"),
  );
  return `${target}\n${body.toString("utf8")}`;
}

/** To versions before 1.24 errors are plain text; a handshake of WebSockets is refused in HTML. */
const isPlain = ({ head }: RawAnswer): boolean => /content-type: text\/(plain|html)/i.test(head);

function report(number: number, request: FuzzRequest, fault: string): string {
  const body = request.body.subarray(0, 600).toString("utf8");
  const label = request.label.length > 320 ? `${request.label.slice(0, 320)}…` : request.label;
  return `request ${number}: ${label}\n    body ${request.body.length} bytes: ${body}\n    ${fault}`;
}
