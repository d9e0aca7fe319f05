/** Where things are when nobody says otherwise. Only the composition root and the command line read these. */

/** The daemon's socket, a private one beside Docker's so that both can run on one machine. */
export const defaultSocketPath = "/run/gantry/gantry.sock";

/** {@link defaultSocketPath} as the value of `-H` and `DOCKER_HOST`. */
export const defaultHost = `unix://${defaultSocketPath}`;

/** Images, containers, volumes and the daemon's own log: `--data-root`. */
export const defaultDataRoot = "/var/lib/gantry";

/** State that does not outlive the machine's uptime: `--exec-root`. */
export const defaultExecRoot = "/run/gantry";

/** `--config-file`, in the format of Docker's daemon.json. */
export const defaultConfigFile = "/etc/gantry/daemon.json";
