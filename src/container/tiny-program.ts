import { endianness } from "node:os";

/** Machine code of `exit(0)` for each architecture, and its number in an ELF header (e_machine). */
const exitZero: Readonly<Record<string, { machine: number; code: number[] }>> = {
  // mov $60,%eax; xor %edi,%edi; syscall
  x64: { machine: 62, code: [0xb8, 0x3c, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05] },
  // mov x8,#93; mov x0,#0; svc #0
  arm64: { machine: 183, code: [0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 0x01, 0, 0, 0xd4] },
  // li a7,93; li a0,0; ecall
  riscv64: { machine: 243, code: [0x93, 0x08, 0xd0, 0x05, 0x13, 0x05, 0, 0, 0x73, 0, 0, 0] },
};

const headerBytes = 64;
const programHeaderBytes = 56;
const loadAddress = 0x400000n;

/**
 * A static ELF program that does nothing but end with code 0: a container can be tried with it on a host that has no
 * static program at all. Undefined for an architecture it is not known for. Layout: elf(5), one loadable segment.
 */
export function tinyProgram(architecture: string = process.arch): Buffer | undefined {
  const known = exitZero[architecture];
  if (known === undefined || endianness() !== "LE") return undefined;
  const codeOffset = headerBytes + programHeaderBytes;
  const size = codeOffset + known.code.length;
  const file = Buffer.alloc(size);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // magic, 64 bits, little-endian, version
  file.writeUInt16LE(2, 16); // executable
  file.writeUInt16LE(known.machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(loadAddress + BigInt(codeOffset), 24); // entry
  file.writeBigUInt64LE(BigInt(headerBytes), 32); // program headers
  file.writeUInt16LE(headerBytes, 52);
  file.writeUInt16LE(programHeaderBytes, 54);
  file.writeUInt16LE(1, 56);
  const segment = headerBytes;
  file.writeUInt32LE(1, segment); // PT_LOAD
  file.writeUInt32LE(5, segment + 4); // readable, executable
  file.writeBigUInt64LE(loadAddress, segment + 16);
  file.writeBigUInt64LE(loadAddress, segment + 24);
  file.writeBigUInt64LE(BigInt(size), segment + 32);
  file.writeBigUInt64LE(BigInt(size), segment + 40);
  file.writeBigUInt64LE(0x1000n, segment + 48);
  file.set(known.code, codeOffset);
  return file;
}
