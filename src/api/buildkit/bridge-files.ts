/** The bridge's calls that look at files of a reference, and at images (BuildKit, frontend/gateway/pb/gateway.proto). */
import { type MethodHandler, method, unary } from "../../base/grpc/server.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import { EngineError } from "../../base/errors.ts";
import type { OpenedFiles } from "../../build/build.ts";
import { type FileEntry, fileTypeBits, findEntry, joinPath } from "../../build/files/file-tree.ts";
import { compileGlob } from "../../build/files/glob.ts";
import type { Platform } from "../../oci/image-spec.ts";
import { byteStringOf } from "../../oci/tar-reader.ts";
import { goMode, type stat } from "../../wire/buildkit/filesync.ts";
import * as gateway from "../../wire/buildkit/gateway.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";
import type { OpenReferences } from "./references.ts";

/** Clients take messages of 16 MiB at most. */
const maxReadBytes = 16 * 1024 * 1024;

type Call = { readonly metadata: ReadonlyMap<string, readonly string[]> };

/** `referencesOf` finds the build that a call belongs to. */
export function fileMethods(
  referencesOf: (call: Call) => Promise<OpenReferences>,
): [string, MethodHandler<never, never>][] {
  const at = (name: string): string => gateway.bridgeService + name;
  return [
    method(
      at("ReadFile"),
      unary(
        { incoming: gateway.readFileRequest, outgoing: gateway.readFileResponse },
        async ({ Ref, FilePath, Range }, call) => {
          const files = await (await referencesOf(call)).open(Ref);
          return { Data: readRange(files, entryAt(files, FilePath), Range) };
        },
      ),
    ),
    method(
      at("ReadDir"),
      unary(
        { incoming: gateway.readDirRequest, outgoing: gateway.readDirResponse },
        async ({ Ref, DirPath, IncludePattern }, call) => {
          const files = await (await referencesOf(call)).open(Ref);
          return { entries: listDirectory(files, entryAt(files, DirPath), IncludePattern) };
        },
      ),
    ),
    method(
      at("StatFile"),
      unary(
        { incoming: gateway.statFileRequest, outgoing: gateway.statFileResponse },
        async ({ Ref, Path }, call) => {
          const files = await (await referencesOf(call)).open(Ref);
          return { stat: statOf(entryAt(files, Path)) };
        },
      ),
    ),
    method(
      at("ResolveImageConfig"),
      unary(
        { incoming: gateway.resolveImageConfigRequest, outgoing: gateway.resolveImageConfigResponse },
        async ({ Ref, Platform: asked }, call) => {
          const references = await referencesOf(call);
          const { digest, config } = await references.imageConfig(Ref, platformOf(asked));
          return { Digest: digest, Config: config, Ref };
        },
      ),
    ),
  ];
}

function platformOf(
  asked: Decoded<typeof gateway.resolveImageConfigRequest>["Platform"],
): Platform | undefined {
  if (asked === undefined || asked.OS === "") return undefined;
  const { OS: os, Architecture: architecture, Variant: variant } = asked;
  return { os, architecture, ...(variant === "" ? {} : { variant }) };
}

function entryAt({ tree }: OpenedFiles, path: string): FileEntry {
  const entry = findEntry(tree, byteStringOf(path));
  if (entry === undefined) throw new GrpcError(grpcCodes.unknown, `open ${path}: no such file or directory`);
  return entry;
}

function readRange(
  { tree }: OpenedFiles,
  entry: FileEntry,
  range: { readonly Offset: number; readonly Length: number } | undefined,
): Uint8Array {
  const start = range?.Offset ?? 0;
  const end = range !== undefined && range.Length > 0 ? start + range.Length : entry.sizeBytes;
  if (Math.min(end, entry.sizeBytes) - start > maxReadBytes)
    throw new EngineError(
      "resourceExhausted",
      `${entry.path} has more than ${maxReadBytes} bytes: read it in parts`,
    );
  const pieces: Buffer[] = [];
  let offset = 0;
  for (const piece of tree.read(entry)) {
    if (offset >= end) break;
    pieces.push(Buffer.from(piece.subarray(Math.max(0, start - offset), Math.max(0, end - offset))));
    offset += piece.length;
  }
  return Buffer.concat(pieces);
}

function listDirectory({ tree }: OpenedFiles, entry: FileEntry, pattern: string): Encodable<typeof stat>[] {
  const isIncluded = pattern === "" ? () => true : compileGlob(byteStringOf(pattern));
  return tree.list(entry.path).flatMap((name) => {
    const inner = isIncluded(name) ? tree.stat(joinPath(entry.path, name)) : undefined;
    return inner === undefined ? [] : [statOf(inner)];
  });
}

function statOf(entry: FileEntry): Encodable<typeof stat> {
  return {
    path: entry.path.slice(entry.path.lastIndexOf("/") + 1),
    mode: goMode(entry.mode | fileTypeBits[entry.type]),
    uid: entry.uid,
    gid: entry.gid,
    size: entry.type === "file" ? entry.sizeBytes : 0,
    modTime: entry.timeNs,
    linkname: entry.linkTarget,
    devmajor: entry.device.major,
    devminor: entry.device.minor,
    xattrs: entry.xattrs,
  };
}
