/**
 * Project quotas: a limit for the files below one directory, where ext4 or xfs is mounted with `prjquota`.
 * quotactl(2), ioctl_fs(2) `FS_IOC_FSSETXATTR`; structures of linux/dqblk_xfs.h and linux/fs.h.
 */
import { closeSync, constants, openSync } from "node:fs";
import { libc, systemError } from "./libc.ts";

const ioctlCall = libc.func("int ioctl(int fd, unsigned long request, void *data)");
const syscallCall = libc.func("long syscall(long number, int fd, int command, unsigned int id, void *data)");

const SYS_quotactl_fd = 443; // the same number on every 64-bit architecture
const PRJQUOTA = 2;
const command = (name: number): number => (name << 8) | PRJQUOTA;
const Q_XSETQLIM = command(0x5804);
const Q_XGETQSTATV = command(0x5808);
const FS_QUOTA_PDQ_ENFD = 1 << 5;

const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FSXATTR_BYTES = 28;
const PROJECT_OFFSET = 12;
const FS_XFLAG_PROJINHERIT = 0x200;

function withDirectory<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/** True when the file system of `directory` holds directories to their quota. Needs Linux 5.14. */
export function hasProjectQuota(directory: string): boolean {
  const status = Buffer.alloc(256);
  status.writeInt8(1, 0); // qs_version
  return withDirectory(
    directory,
    (fd) =>
      syscallCall(SYS_quotactl_fd, fd, Q_XGETQSTATV, 0, status) === 0 &&
      (status.readUInt16LE(2) & FS_QUOTA_PDQ_ENFD) !== 0,
  );
}

/** The project of a directory; 0 when it has none or the file system knows none. */
export function projectOf(directory: string): number {
  return withDirectory(directory, (fd) => {
    const attributes = Buffer.alloc(FSXATTR_BYTES);
    return ioctlCall(fd, FS_IOC_FSGETXATTR, attributes) === 0 ? attributes.readUInt32LE(PROJECT_OFFSET) : 0;
  });
}

/** Makes `directory` and all that will be made below it one project that may take `sizeBytes`. Throws when refused. */
export function setProjectQuota(directory: string, project: number, sizeBytes: number): void {
  withDirectory(directory, (fd) => {
    const attributes = Buffer.alloc(FSXATTR_BYTES);
    if (ioctlCall(fd, FS_IOC_FSGETXATTR, attributes) !== 0) throw systemError(`read project of ${directory}`);
    attributes.writeUInt32LE(attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT, 0);
    attributes.writeUInt32LE(project, PROJECT_OFFSET);
    if (ioctlCall(fd, FS_IOC_FSSETXATTR, attributes) !== 0) throw systemError(`set project of ${directory}`);
    setLimit(fd, project, sizeBytes);
  });
}

/** Takes the limit away, so that the number may be another directory's. */
export function clearProjectQuota(directory: string, project: number): void {
  withDirectory(directory, (fd) => setLimit(fd, project, 0));
}

function setLimit(fd: number, project: number, sizeBytes: number): void {
  const limit = Buffer.alloc(112); // struct fs_disk_quota
  limit.writeInt8(1, 0); // d_version
  limit.writeInt8(PRJQUOTA, 1); // d_flags: XFS_PROJ_QUOTA
  limit.writeUInt16LE((1 << 2) | (1 << 3), 2); // d_fieldmask: soft and hard limit of blocks
  limit.writeUInt32LE(project, 4);
  const blocks = BigInt(Math.ceil(sizeBytes / 512));
  limit.writeBigUInt64LE(blocks, 8);
  limit.writeBigUInt64LE(blocks, 16);
  if (syscallCall(SYS_quotactl_fd, fd, Q_XSETQLIM, project, limit) !== 0) throw systemError("set a quota");
}
