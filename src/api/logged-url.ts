/** Parameters of requests that may hold a secret: addresses with a user's password or a token, build arguments. */
const secret = /([?&](?:fromSrc|remote|buildargs)=)[^&]+/g;

/** Addresses may have a mebibyte, and a log is for people. */
const mostCharacters = 2_000;

/** A request's address as it may stand in a log. */
export function loggedUrl(url: string | undefined): string {
  const text = (url ?? "").replace(secret, "$1***");
  if (text.length <= mostCharacters) return text;
  return `${text.slice(0, mostCharacters)}… (${text.length - mostCharacters} more)`;
}
