/**
 * `serve PORT` answers every SCTP connection with a word; `ask ADDRESS PORT` prints what it is answered. In the guest, whose
 * kernel has SCTP. (sctp(7))
 */
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, const uint8_t *address, uint32_t length)");
const listen = libc.func("int listen(int fd, int backlog)");
const accept = libc.func("int accept(int fd, void *address, void *length)");
const connect = libc.func("int connect(int fd, const uint8_t *address, uint32_t length)");
const send = libc.func("intptr_t send(int fd, const uint8_t *data, size_t length, int flags)");
const recv = libc.func("intptr_t recv(int fd, void *data, size_t length, int flags)");
const close = libc.func("int close(int fd)");

const AF_INET = 2;
const SOCK_STREAM = 1;
const IPPROTO_SCTP = 132;

/** struct sockaddr_in */
function address(host, port) {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(host.split(".").map(Number), 4);
  return bytes;
}

function check(result, what) {
  if (result < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
  return result;
}

const [verb, ...args] = process.argv.slice(2);
const fd = check(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), "socket");
if (verb === "serve") {
  check(bind(fd, address("0.0.0.0", Number(args[0])), 16), "bind");
  check(listen(fd, 8), "listen");
  for (;;) {
    const client = check(accept(fd, null, null), "accept");
    send(client, Buffer.from("served"), 6, 0);
    close(client);
  }
} else {
  check(connect(fd, address(args[0], Number(args[1])), 16), "connect");
  const data = Buffer.alloc(64);
  const length = Number(check(recv(fd, data, data.length, 0), "recv"));
  console.log(data.toString("utf8", 0, length));
}
