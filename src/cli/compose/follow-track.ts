/** What is asked and known of containers that are followed, and how the daemon's events name and date things. */
import { fixedRfc3339, rfc3339Nano } from "../../base/time.ts";
import type { ContainerInspect } from "../../wire/container.ts";
import type { EventMessage } from "../../wire/system.ts";

export interface Followed {
  readonly id: string;
  /** As it is shown. */
  readonly name: string;
  readonly service: string;
}

/** A container that has ended; its restart policy may start it again. */
export interface Ended extends Followed {
  readonly exitCode: number;
}

export interface FollowOptions {
  readonly project: string;
  readonly timestamps: boolean;
  /** Says whether a container that is started later belongs to what is followed. */
  readonly isOfInterest: (service: string, number: number) => boolean;
  /** Services whose end is waited for; all that are of interest when undefined. */
  readonly required?: ReadonlySet<string>;
  /** Says whether the output of a service is shown; all are when undefined. */
  readonly isShown?: (service: string) => boolean;
  /** When somebody began to watch, ms since the epoch by this machine's clock; what was said before is not shown. */
  readonly beganMs?: number;
  /** Bounds of what is read, as the API takes them. */
  readonly since?: string;
  readonly until?: string;
  /** Tells of an end. */
  readonly onEnd?: (ended: Ended) => void;
  /** Tells why a container's output cannot be had. */
  readonly warn: (message: string) => void;
}

/** How the end of a run is told. */
export interface EndOfRun {
  /** Everything that it has said has been shown. */
  readonly isSeen: boolean;
  readonly isReplaced: boolean;
  /** What was written later is the next run's. */
  readonly until?: string;
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

/** When a container's run before the one of this start ended; empty when there was none, or that cannot be told. */
export function endBefore(state: ContainerInspect["State"] | undefined, startEvent: string): string {
  if (state === undefined || state.FinishedAt.startsWith("0001-")) return "";
  const finished = fixedRfc3339(state.FinishedAt);
  // Of a run that is over by now it is its own end.
  return finished < fixedRfc3339(state.StartedAt) && finished < startEvent ? finished : "";
}

/** An RFC 3339 time as the unix seconds, with all its digits, that the API takes. */
export function unixTime(text: string): string {
  const match = /^(.*?)(?:\.(\d+))?Z$/.exec(text);
  if (match === null) return String(Date.parse(text) / 1000);
  return `${Math.trunc(Date.parse(`${match[1]!}Z`) / 1000)}.${(match[2] ?? "0").padEnd(9, "0")}`;
}
