/** Addresses with names and passwords in them, as they may be shown. */

const hidden = "xxxxx";

/**
 * Hides the names and passwords of all addresses in a text, as BuildKit does. Over SSH a name is no secret: it stays
 * when no password is with it.
 */
export function redactCredentials(text: string): string {
  return text.replaceAll(
    /\b([a-z][a-z0-9+.-]*):\/\/([^\s/?#'"]*)@/gi,
    (whole, scheme: string, credentials: string) => {
      if (credentials.includes(":")) return `${scheme}://${hidden}:${hidden}@`;
      return /ssh$/i.test(scheme) ? whole : `${scheme}://${hidden}@`;
    },
  );
}
