/**
 * The value of `X-Registry-Auth` and `X-Registry-Config`: JSON in the URL's form of base64. It is padded, since Docker's
 * daemon takes nothing else (RFC 4648 section 5, Go's `base64.URLEncoding`).
 */
export function registryHeader(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
