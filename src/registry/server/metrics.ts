/** Counters and gauges in Prometheus' text format, version 0.0.4. */

const help: Readonly<Record<string, readonly [type: "counter" | "gauge", text: string]>> = {
  http_requests_total: ["counter", "Requests by method, route and status."],
  http_request_seconds_total: ["counter", "Time that requests took, by method and route."],
  http_response_bytes_total: ["counter", "Bytes sent to clients."],
  uploads_total: ["counter", "Blobs that were uploaded."],
  upload_bytes_total: ["counter", "Bytes of blobs that were uploaded."],
  proxy_requests_total: [
    "counter",
    "Requests to a pull-through cache, by kind and whether it had the answer.",
  ],
  proxy_bytes_total: ["counter", "Bytes fetched from the registry behind a pull-through cache."],
  auth_failures_total: ["counter", "Logins that were refused."],
  gc_runs_total: ["counter", "Garbage collections."],
  gc_freed_bytes_total: ["counter", "Bytes that garbage collections freed."],
  repositories: ["gauge", "Repositories with at least one manifest."],
  manifests: ["gauge", "Manifests."],
  tags: ["gauge", "Tags."],
  blobs: ["gauge", "Blobs in the store, manifests included."],
  stored_bytes: ["gauge", "Size of all blobs."],
  uploads_active: ["gauge", "Uploads that a request works on now."],
  process_resident_bytes: ["gauge", "Memory of the process."],
};

type Labels = Readonly<Record<string, string>>;

export class Metrics {
  readonly #values = new Map<string, Map<string, number>>();

  /** Adds to a counter. */
  count(name: string, labels: Labels, by = 1): void {
    const key = labelText(labels);
    const series = this.#series(name);
    series.set(key, (series.get(key) ?? 0) + by);
  }

  /** Sets a gauge. */
  set(name: string, value: number): void {
    this.#series(name).set("", value);
  }

  #series(name: string): Map<string, number> {
    let series = this.#values.get(name);
    if (series === undefined) this.#values.set(name, (series = new Map()));
    return series;
  }

  /** The exposition; a metric without values is left out. */
  render(): string {
    let text = "";
    for (const [name, [type, about]] of Object.entries(help)) {
      const series = this.#values.get(name);
      if (series === undefined) continue;
      text += `# HELP gantry_registry_${name} ${about}\n# TYPE gantry_registry_${name} ${type}\n`;
      for (const [labels, value] of series) text += `gantry_registry_${name}${labels} ${value}\n`;
    }
    return text;
  }
}

function labelText(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  const escaped = (value: string): string =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `{${entries.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
}
