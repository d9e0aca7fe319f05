/** The registry's page for people: its repositories, and the tags of each. Plain HTML, no script. */
import { answerBytes, type Exchange, pageOf, paged } from "./exchange.ts";
import type { RegistryMetadata } from "./metadata.ts";

const style = `
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
  td.number, th.number { text-align: right; }
  code { font-size: .9em; overflow-wrap: anywhere; }
  p.empty { color: GrayText; }
`;

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

const when = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title><style>${style}</style><h1>${escaped(title)}</h1>${body}</html>\n`;
}

function send(exchange: Exchange, html: string): void {
  answerBytes(
    exchange,
    200,
    {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
      "Cache-Control": "no-cache",
    },
    html,
  );
}

function moreLink(headers: Record<string, string>): string {
  const target = /<([^>]+)>/.exec(headers["Link"] ?? "")?.[1];
  return target === undefined ? "" : `<p><a href="${escaped(target)}">more</a></p>`;
}

/** GET `/`: the repositories. */
export async function showRepositories(exchange: Exchange): Promise<void> {
  const { stores, url } = exchange;
  const { last, limit } = pageOf(url, 200);
  const found = stores.metadata.repositories({ last, limit: limit + 1 });
  const { entries, headers } = paged(url, found, limit, (name) => name);
  const rows = entries.map((name) => {
    const tags = stores.metadata.tags(name, { last: "", limit: 1001 });
    const newest = Math.max(0, ...tags.map(({ updatedAtMs }) => updatedAtMs));
    return (
      `<tr><td><a href="/repositories/${escaped(name)}">${escaped(name)}</a></td>` +
      `<td class="number">${tags.length > 1000 ? "over 1000" : tags.length}</td>` +
      `<td>${newest === 0 ? "" : when(newest)}</td></tr>`
    );
  });
  const table =
    rows.length === 0
      ? `<p class="empty">No repositories. Push one: <code>gantry push ${escaped(exchange.request.headers.host ?? "HOST")}/NAME:TAG</code></p>`
      : `<table><tr><th>Repository</th><th class="number">Tags</th><th>Last push (UTC)</th></tr>${rows.join("")}</table>`;
  send(exchange, page("Repositories", table + moreLink(headers)));
}

/** GET `/repositories/NAME`: its tags. */
export async function showTags(exchange: Exchange): Promise<void> {
  const { stores, repository, url } = exchange;
  const { last, limit } = pageOf(url, 200);
  const found = stores.metadata.tags(repository, { last, limit: limit + 1 });
  const { entries, headers } = paged(url, found, limit, ({ name }) => name);
  const host = exchange.request.headers.host ?? "";
  const rows = entries.map(
    ({ name, digest, updatedAtMs }) =>
      `<tr><td>${escaped(name)}</td><td class="number">${size(imageBytes(stores.metadata, sizeOf(exchange), repository, digest))}</td>` +
      `<td>${when(updatedAtMs)}</td><td><code>${escaped(digest)}</code></td></tr>`,
  );
  const table =
    rows.length === 0
      ? `<p class="empty">No tags.</p>`
      : `<p><code>gantry pull ${escaped(`${host}/${repository}`)}</code></p>` +
        `<table><tr><th>Tag</th><th class="number">Size</th><th>Pushed (UTC)</th><th>Digest</th></tr>${rows.join("")}</table>`;
  send(exchange, page(repository, `<p><a href="/">Repositories</a></p>${table}${moreLink(headers)}`));
}

const sizeOf =
  ({ stores }: Exchange) =>
  (digest: string): number =>
    stores.content.has(digest) ? stores.content.info(digest).sizeBytes : 0;

/** Bytes of the blobs of an image, or of all images of an index. */
function imageBytes(
  metadata: RegistryMetadata,
  bytesOf: (digest: string) => number,
  repository: string,
  digest: string,
): number {
  const seen = new Set<string>();
  const waiting = [digest];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const { blobs, manifests } = metadata.links(repository, next);
    for (const blob of blobs) seen.add(blob);
    waiting.push(...manifests);
  }
  let total = 0;
  for (const blob of seen) total += bytesOf(blob);
  return total;
}
