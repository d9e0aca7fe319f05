/** Environment variables as lists of `NAME=value`. */

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Docker's rule for laying entries over a list: a known name is replaced where it stands, a new one goes to the end, an
 * entry without `=` takes the name out.
 */
export function overlayEnv(base: readonly string[], entries: readonly string[]): string[] {
  const result = new Map(base.map((entry) => [nameOf(entry), entry]));
  for (const entry of entries) {
    if (entry.includes("=")) result.set(nameOf(entry), entry);
    else result.delete(entry);
  }
  return [...result.values()];
}

/** True when the list sets the name, to whatever. */
export function hasEnv(env: readonly string[], name: string): boolean {
  return env.some((entry) => entry.startsWith(`${name}=`));
}

/** What a container's program gets before image and user have their say. */
export function baseEnv(options: { readonly hostname: string; readonly terminal: boolean }): string[] {
  return [`PATH=${defaultPath}`, `HOSTNAME=${options.hostname}`, ...(options.terminal ? ["TERM=xterm"] : [])];
}

function nameOf(entry: string): string {
  const at = entry.indexOf("=");
  return at < 0 ? entry : entry.slice(0, at);
}
