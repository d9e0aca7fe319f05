/** The shortcuts of `up` in the foreground: keys that are pressed while containers run. */
import { spawnSync } from "node:child_process";
import { isatty } from "node:tty";
import { restoreAtEnd, watchResize } from "../terminal.ts";
import type { ComposeApp } from "./app.ts";
import { Footer, type Shortcut } from "./footer.ts";

export interface MenuActions {
  /** What the keys do now. */
  readonly shortcuts: () => readonly Shortcut[];
  readonly onKey: (key: string) => void;
}

/** A menu needs keys, and a place to draw. */
export function canHaveMenu(app: ComposeApp): boolean {
  return isatty(0) && isatty(1) && app.hasAnsi(1);
}

export class Menu implements Disposable {
  readonly #app: ComposeApp;
  readonly #footer: Footer;
  readonly #actions: MenuActions;
  readonly #stack = new DisposableStack();

  private constructor(app: ComposeApp, actions: MenuActions) {
    const { context } = app;
    this.#app = app;
    this.#actions = actions;
    this.#footer = new Footer({
      colours: true,
      columns: () => context.stdout.columns || 80,
      write: (text) => context.print(text),
    });
  }

  /** Shows the line and listens to the keys. Undefined where the terminal cannot be told to hand over single keys. */
  static open(app: ComposeApp, actions: MenuActions): Menu | undefined {
    const menu = new Menu(app, actions);
    try {
      if (!menu.#takeKeys()) return undefined;
      menu.#draw();
      return menu;
    } catch (error) {
      menu.close();
      throw error;
    }
  }

  /** Shows what the keys do now. */
  update(): void {
    this.#footer.set(this.#actions.shortcuts());
  }

  /** Takes the line away, and leaves the keyboard as it was. */
  close(): void {
    this.#stack.dispose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #draw(): void {
    this.#app.footer = this.#footer;
    this.#stack.defer(() => {
      this.#footer.set([]);
      this.#app.footer = undefined;
    });
    this.update();
    this.#stack.use(watchResize(this.#app.context, () => this.#footer.redraw()));
  }

  /**
   * Keys come one by one and are not shown; `^C` and `^Z` go on being signals, which raw mode would make keys of. After a
   * stop the shell has put the terminal right, so it is asked again.
   */
  #takeKeys(): boolean {
    const before = stty("-g");
    if (before === undefined) return false;
    const restore = (): void => void stty(before.trim());
    this.#stack.defer(restore);
    this.#stack.use(restoreAtEnd(() => this.close()));
    if (stty("-icanon", "-echo", "min", "1", "time", "0") === undefined) {
      this.#stack.dispose();
      return false;
    }
    const onContinue = (): void => {
      stty("-icanon", "-echo", "min", "1", "time", "0");
      this.#footer.redraw();
    };
    process.on("SIGCONT", onContinue);
    this.#stack.defer(() => void process.off("SIGCONT", onContinue));
    this.#listen();
    return true;
  }

  #listen(): void {
    const { stdin } = this.#app.context;
    const onData = (data: Buffer): void => {
      for (const key of data.toString("latin1")) this.#actions.onKey(key);
    };
    stdin.on("data", onData);
    this.#stack.defer(() => {
      stdin.off("data", onData);
      stdin.pause();
    });
  }
}

/** Asks the terminal on standard input, or tells it. Undefined when that failed. */
function stty(...words: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync("stty", words, {
    stdio: [0, "pipe", "ignore"],
    encoding: "utf8",
  });
  return status === 0 ? stdout : undefined;
}
