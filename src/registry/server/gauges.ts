import type { RegistryStores } from "./exchange.ts";

/** Brings the metrics of what is there now up to date, before they are shown. */
export function refreshGauges({ metrics, metadata, content, uploads }: RegistryStores): void {
  const { repositories, manifests, tags } = metadata.counts();
  metrics.set("repositories", repositories);
  metrics.set("manifests", manifests);
  metrics.set("tags", tags);
  const blobs = content.list();
  metrics.set("blobs", blobs.length);
  metrics.set(
    "stored_bytes",
    blobs.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
  );
  metrics.set("uploads_active", uploads.activeCount);
  metrics.set("process_resident_bytes", process.memoryUsage.rss());
}
