/**
 * A program: prints the ICMP packets that a network device sends and receives, as tcpdump does, in the network namespace
 * that it is started in. `node capture.ts DEVICE COUNT` prints `ready`, then `SOURCE > DESTINATION request|reply N` for
 * each of COUNT packets, and ends. (packet(7))
 */
import { readFileSync } from "node:fs";
import { libc, systemError } from "../../src/linux/libc.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_IP = 0x0800;
const protocolIcmp = 1;
const ethernetBytes = 14;

const [device = "", count = "1"] = process.argv.slice(2);
const bigEndianIp = ((ETH_P_IP & 0xff) << 8) | (ETH_P_IP >> 8);
const ETH_P_ALL_BIG_ENDIAN = 0x0300;

const fd = libc.func("int socket(int domain, int type, int protocol)")(
  AF_PACKET,
  SOCK_RAW,
  ETH_P_ALL_BIG_ENDIAN,
) as number;
if (fd < 0) throw systemError("open a packet socket");

// struct sockaddr_ll: family, protocol, index of the device, and what only answers have
const address = Buffer.alloc(20);
address.writeUInt16LE(AF_PACKET, 0);
address.writeUInt16LE(ETH_P_ALL_BIG_ENDIAN, 2);
address.writeInt32LE(Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8")), 4);
const bind = libc.func("int bind(int fd, void *address, uint32_t length)");
if (bind(fd, address, address.length) !== 0) throw systemError(`bind to ${device}`);
console.log("ready");

const recv = libc.func("ssize_t recv(int fd, void *data, size_t length, int flags)");
const frame = Buffer.alloc(2048);
const dotted = (at: number): string => [...frame.subarray(at, at + 4)].join(".");
for (let seen = 0; seen < Number(count);) {
  const length = Number(recv(fd, frame, frame.length, 0));
  if (length < 0) throw systemError(`read what ${device} sees`);
  const isIpv4 = frame.readUInt16LE(12) === bigEndianIp;
  if (!isIpv4 || frame[ethernetBytes + 9] !== protocolIcmp) continue;
  const icmp = ethernetBytes + (frame[ethernetBytes]! & 0xf) * 4;
  const kind = frame[icmp] === 8 ? "request" : "reply";
  console.log(
    `${dotted(ethernetBytes + 12)} > ${dotted(ethernetBytes + 16)} ${kind} ${frame.readUInt16BE(icmp + 6)}`,
  );
  seen++;
}
