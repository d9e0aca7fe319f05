/** What every call takes. */
export interface CallOptions {
  /** Aborts the request; the daemon notices by the closed connection. */
  readonly signal?: AbortSignal | undefined;
}

/** Values of `filters`: key to the values that match it. */
export type FilterValues = Readonly<Record<string, readonly string[]>>;

/** `filters` as the API takes it: JSON of key to value to true. Undefined when there are none. */
export function filtersParameter(filters: FilterValues | undefined): string | undefined {
  const entries = Object.entries(filters ?? {});
  if (entries.length === 0) return undefined;
  const sets = entries.map(([key, values]) => [
    key,
    Object.fromEntries(values.map((value) => [value, true])),
  ]);
  return JSON.stringify(Object.fromEntries(sets));
}

/** A platform such as `linux/arm64/v8` as the JSON that inspect, history, save, load and rmi take. */
export function platformParameter(platform: string | undefined): string | undefined {
  if (platform === undefined || platform === "") return undefined;
  const [os, architecture, variant] = platform.split("/");
  return JSON.stringify({ architecture: architecture ?? "", os: os ?? "", variant });
}
