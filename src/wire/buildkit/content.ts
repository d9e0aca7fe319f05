/** Messages of `containerd.services.content.v1.Content` (containerd, api/services/content/v1/content.proto), as far as builds use it. */
import { map, message, one } from "../protobuf.ts";
import { timestamp } from "./common.ts";

export const contentService = "/containerd.services.content.v1.Content/";
/** Metadata that says which of the client's stores is meant (BuildKit, session/content/attachable.go). */
export const contentStoreKey = "buildkit-attachable-store-id";

export const readContentRequest = message({
  digest: one(1, "string"),
  offset: one(2, "int64"),
  size: one(3, "int64"),
});
export const readContentResponse = message({ offset: one(1, "int64"), data: one(2, "bytes") });

/** What a write's message asks for. */
export const writeActions = { stat: 0, write: 1, commit: 2 } as const;

export const writeContentRequest = message({
  action: one(1, "int32"),
  ref: one(2, "string"),
  total: one(3, "int64"),
  expected: one(4, "string"),
  offset: one(5, "int64"),
  data: one(6, "bytes"),
  labels: map(7, "string"),
});
export const writeContentResponse = message({
  action: one(1, "int32"),
  started_at: one(2, timestamp),
  updated_at: one(3, timestamp),
  offset: one(4, "int64"),
  total: one(5, "int64"),
  digest: one(6, "string"),
});
