/** Settings of the kernel that belong to the IPC namespace, beside those under fs.mqueue. (Linux ipc/ipc_sysctl.c) */
export const ipcSysctls: ReadonlySet<string> = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);
