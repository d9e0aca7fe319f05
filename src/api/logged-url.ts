/** Parameters of requests that may hold a secret: addresses with a user's password or a token, build arguments. */
const secret = /([?&](?:fromSrc|remote|buildargs)=)[^&]+/g;

/** A request's address as it may stand in a log. */
export function loggedUrl(url: string | undefined): string {
  return (url ?? "").replace(secret, "$1***");
}
