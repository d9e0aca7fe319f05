import { parseCommaSeparated } from "../flag-values.ts";

/** Field `DeviceRequests` of the API's HostConfig. */
export interface DeviceRequest extends Record<string, unknown> {
  Driver: string;
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string> | null;
}

/** Reads a value of `--gpus`: `all`, a number, or `device=0,capabilities=compute,…`. Throws `Error` in Docker's words. */
export function gpuRequest(text: string): DeviceRequest {
  if (text === "") throw new Error("EOF");
  const request: DeviceRequest = {
    Driver: "",
    Count: 0,
    DeviceIDs: null,
    Capabilities: [["gpu"]],
    Options: {},
  };
  const seen = new Set<string>();
  for (const field of parseCommaSeparated(text)) {
    const equals = field.indexOf("=");
    const key = equals < 0 ? "count" : field.slice(0, equals);
    const value = equals < 0 ? field : field.slice(equals + 1);
    if (seen.has(key)) throw new Error(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    setField(request, key, value);
  }
  if (!seen.has("count") && request.DeviceIDs === null) request.Count = 1;
  return request;
}

function setField(request: DeviceRequest, key: string, value: string): void {
  switch (key) {
    case "driver":
      request.Driver = value;
      return;
    case "count":
      request.Count = count(value);
      return;
    case "device":
      request.DeviceIDs = value.split(",");
      return;
    case "capabilities":
      request.Capabilities = [[...value.split(","), "gpu"]];
      return;
    case "options":
      request.Options = Object.fromEntries(
        parseCommaSeparated(value).map((option) => {
          const at = option.indexOf("=");
          return at < 0 ? [option, ""] : [option.slice(0, at), option.slice(at + 1)];
        }),
      );
      return;
    default:
      throw new Error(`unexpected key '${key}' in '${key}=${value}'`);
  }
}

function count(text: string): number {
  if (text === "all") return -1;
  if (/^[+-]?\d{1,9}$/.test(text)) return Number(text);
  throw new Error(`invalid count (${text}): value must be either "all" or an integer: invalid syntax`);
}
