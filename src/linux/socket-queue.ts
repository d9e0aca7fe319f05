import { libc } from "./libc.ts";

const ioctlCall = libc.func("int ioctl(int fd, unsigned long request, _Out_ int *value)");
/** unix(7) and tcp(7): bytes that the other side has not taken yet. */
const SIOCOUTQ = 0x5411;
/** pipe(7): bytes that nobody has read yet. */
const FIONREAD = 0x541b;

/** How many bytes written to a socket its peer has not taken yet (TCP: not acknowledged); 0 for what is no socket. */
export function untakenBytes(fd: number): number {
  const value: [number] = [0];
  return ioctlCall(fd, SIOCOUTQ, value) === 0 ? value[0] : 0;
}

/** How many bytes in a pipe, by either end of it, nobody has read yet. */
export function unreadBytes(fd: number): number {
  const value: [number] = [0];
  return ioctlCall(fd, FIONREAD, value) === 0 ? value[0] : 0;
}
