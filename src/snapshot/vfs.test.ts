import { snapshotterSuite } from "./snapshot.suite.ts";
import { VfsSnapshotter } from "./vfs.ts";

snapshotterSuite("vfs", (root) => new VfsSnapshotter(root));
