import type { ProgressMessage } from "../wire/image.ts";

export type Report = (message: ProgressMessage) => void;

/**
 * Runs work that reports progress from several places at once, and yields what it reports, in order. Amounts that nobody
 * has taken yet give way to newer ones. When the reader leaves, the work is aborted and its end waited for.
 */
export async function* reportWhile(
  signal: AbortSignal,
  work: (report: Report, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<ProgressMessage, void> {
  const waiting: ProgressMessage[] = [];
  let wake = (): void => {};
  let isDone = false;
  const stop = new AbortController();
  const report: Report = (message) => {
    const last = waiting.at(-1);
    const isNewer = last?.id !== undefined && last.id === message.id && last.status === message.status;
    if (isNewer) waiting.pop();
    waiting.push(message);
    wake();
  };
  const running = work(report, AbortSignal.any([signal, stop.signal])).finally(() => {
    isDone = true;
    wake();
  });
  running.catch(() => {});
  try {
    for (;;) {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) yield next;
      if (isDone) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await running;
  } finally {
    stop.abort();
    await running.catch(() => {});
  }
}

const reportEveryMs = 100;

/** Reports amounts for one line of progress, ten times a second at most. */
export function amountReporter(
  report: Report,
  line: { id: string; total: number },
): {
  (status: string, current: number): void;
} {
  let lastMs = -Infinity;
  return (status, current) => {
    const now = performance.now();
    if (now - lastMs < reportEveryMs) return;
    lastMs = now;
    report({ status, progressDetail: { current, total: line.total }, id: line.id });
  };
}
