/** A line that stays below everything else on a terminal. */

export interface FooterTarget {
  readonly colours: boolean;
  columns(): number;
  write(text: string): void;
}

/** A key, and what it does. */
export type Shortcut = readonly [key: string, meaning: string];

const eraseLine = "\r\u001b[J";

export class Footer {
  readonly #target: FooterTarget;
  #shortcuts: readonly Shortcut[] = [];
  #isDrawn = false;
  #isHidden = false;

  constructor(target: FooterTarget) {
    this.#target = target;
  }

  /** Shows these; none takes the line away. */
  set(shortcuts: readonly Shortcut[]): void {
    this.#shortcuts = shortcuts;
    this.redraw();
  }

  /** Takes the line away until {@link show}: others draw there. */
  hide(): void {
    this.#isHidden = true;
    this.redraw();
  }

  show(): void {
    this.#isHidden = false;
    this.redraw();
  }

  /** What writes whole lines above it. */
  above(lines: string): string {
    const drawn = this.#erasure() + lines + this.#line();
    this.#isDrawn = this.#isWanted;
    return drawn;
  }

  get #isWanted(): boolean {
    return !this.#isHidden && this.#shortcuts.length > 0;
  }

  /** Draws it anew: the window may have another size. */
  redraw(): void {
    const text = this.above("");
    if (text !== "") this.#target.write(text);
  }

  #erasure(): string {
    return this.#isDrawn ? eraseLine : "";
  }

  #line(): string {
    if (!this.#isWanted) return "";
    let room = this.#target.columns() - 1;
    // A line that does not fit would be two, of which only one is taken away.
    const cut = (text: string): string => {
      const fits = text.slice(0, Math.max(0, room));
      room -= fits.length;
      return fits;
    };
    return this.#shortcuts
      .map(([key, meaning], at) => {
        const gap = at === 0 ? "" : cut("   ");
        const [shownKey, shownMeaning] = [cut(key), cut(` ${meaning}`)];
        return this.#target.colours
          ? `${gap}\u001b[1;7m${shownKey}\u001b[0m\u001b[2m${shownMeaning}\u001b[0m`
          : `${gap}${shownKey}${shownMeaning}`;
      })
      .join("");
  }
}
