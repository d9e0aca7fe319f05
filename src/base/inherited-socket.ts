/** A listening socket that a service manager opened and that this process was started with (sd_listen_fds(3)). */
export interface InheritedSocket {
  readonly fd: number;
  readonly isUnix: boolean;
}
