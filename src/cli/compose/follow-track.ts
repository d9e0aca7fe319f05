/** What is known of a container that is followed, and how the daemon's events name and date things. */
import { fixedRfc3339, rfc3339Nano } from "../../base/time.ts";
import type { EventMessage } from "../../wire/system.ts";

export interface Followed {
  readonly id: string;
  /** As it is shown. */
  readonly name: string;
  readonly service: string;
}

/** What is known of a container. */
export interface Track extends Followed {
  readonly isShown: boolean;
  tty: boolean | undefined;
  isUp: boolean;
  /** It is listened to from before its start: that start is no reason to read again. */
  awaitsStart: boolean;
  /** Being read. Never rejects. */
  reading: Promise<void> | undefined;
  /** Its ends are being told of. */
  telling: Promise<void> | undefined;
  /** When it was started again while it was being read. */
  staleSince: string | undefined;
  /** What has a later time has not been seen; all when empty, and undefined while that is not known. */
  position: string | undefined;
  /** Nothing but the end of what is being read will tell the position. */
  endsAtPosition: boolean;
  /** Somebody has stopped it: perhaps in order to start it again. */
  wasKilled: boolean;
  /** Its end has been told of without the event, which may still come. */
  isEndTold: boolean;
  /** Names the wait for its policy's restart that is watched. */
  backOff: symbol | undefined;
}

/** A container of which nothing is known yet. */
export function newTrack({ id, name, service }: Followed, isShown: boolean): Track {
  return {
    id,
    name,
    service,
    isShown,
    tty: undefined,
    isUp: false,
    awaitsStart: false,
    reading: undefined,
    telling: undefined,
    staleSince: undefined,
    position: undefined,
    endsAtPosition: false,
    wasKilled: false,
    isEndTold: false,
    backOff: undefined,
  };
}

/** The name as it is shown. One that is being made anew has its predecessor's id in front for a moment. */
export function eventName(
  { name = "" }: Readonly<Record<string, string>>,
  {
    project,
    service,
    number,
  }: { readonly project: string; readonly service: string; readonly number: number },
): string {
  const own = name.replace(/^[0-9a-f]{12}_/, "");
  const isUsual = ["-", "_"].some((separator) => own === [project, service, number].join(separator));
  return isUsual ? own.slice(project.length + 1) : own;
}

/** The daemon's time of an event, as lines of logs have theirs. */
export function eventTime({ timeNano }: EventMessage): string {
  return fixedRfc3339(rfc3339Nano(BigInt(timeNano)));
}

/** An RFC 3339 time as the unix seconds, with all its digits, that the API takes. */
export function unixTime(text: string): string {
  const match = /^(.*?)(?:\.(\d+))?Z$/.exec(text);
  if (match === null) return String(Date.parse(text) / 1000);
  return `${Math.trunc(Date.parse(`${match[1]!}Z`) / 1000)}.${(match[2] ?? "0").padEnd(9, "0")}`;
}
