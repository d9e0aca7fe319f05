/** Where an image comes from, in SLSA's words (slsa.dev/provenance/v0.2), as BuildKit attests it. */
import { formatPlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/image-spec.ts";
import type { SessionParts, StageState } from "./session-parts.ts";

/** The kind of statement that it is. */
export const provenancePredicate = "https://slsa.dev/provenance/v0.2";

/**
 * `mode=min` leaves out build arguments, secrets' names and steps, as BuildKit's does.
 */
export async function provenanceOf(
  parts: Omit<SessionParts, "platform">,
  { platform, state }: { readonly platform: Platform; readonly state: StageState },
): Promise<Record<string, unknown>> {
  const { request, dockerfile, images } = parts;
  const materials = (await images.used()).map(({ name, digest }) => {
    const [, hex = ""] = (digest ?? "").split(":");
    const purl = name.replace(/^docker\.io\/library\//, "").replace(/@.*$/, "");
    const at = purl.lastIndexOf(":");
    return {
      uri: `pkg:docker/${purl.slice(0, at)}@${purl.slice(at + 1)}?platform=${encodeURIComponent(formatPlatform(platform))}`,
      ...(hex === "" ? {} : { digest: { sha256: hex } }),
    };
  });
  const isMax = request.provenance?.mode === "max";
  const args = isMax
    ? Object.fromEntries(
        Object.entries(request.buildArgs ?? {}).map(([key, value]) => [`build-arg:${key}`, value]),
      )
    : {};
  return {
    builder: { id: request.provenance?.attributes?.["builder-id"] ?? "" },
    buildType: "https://mobyproject.org/buildkit@v1",
    materials,
    invocation: {
      configSource: { entryPoint: dockerfile.source.name },
      parameters: {
        frontend: "dockerfile.v0",
        args: { ...(request.target ? { target: request.target } : {}), ...args },
        ...(request.context.kind === "remote" || request.context.kind === "tar"
          ? { locals: [{ name: "context" }] }
          : {}),
      },
      environment: { platform: formatPlatform(platform) },
    },
    metadata: {
      buildInvocationID: request.id,
      buildStartedOn: parts.startedAt,
      buildFinishedOn: new Date().toISOString(),
      completeness: { parameters: isMax, environment: true, materials: false },
      reproducible: false,
      ...(isMax
        ? {
            "https://mobyproject.org/buildkit@v1#metadata": {
              source: {
                infos: [
                  {
                    filename: dockerfile.source.name,
                    data: Buffer.from(dockerfile.source.text).toString("base64"),
                  },
                ],
              },
              layers: state.layers.map(({ descriptor }) => descriptor),
            },
          }
        : {}),
    },
  };
}
