/**
 * The words of a command line in a compose file: quotes and backslashes have their meaning, backquotes and `$( )` keep
 * what is in them together, and what would end the command for a shell ends it here. Undefined for what does not close.
 */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  const state: State = { word: "", isWord: false, quote: "" };
  const end = (): void => {
    if (state.isWord) words.push(state.word);
    state.word = "";
    state.isWord = false;
  };
  const add = (char: string): void => {
    state.word += char;
    state.isWord = true;
  };
  let isEscaped = false;
  for (const char of text) {
    if (isEscaped) {
      add(char === "t" ? "\t" : char === "n" ? "\n" : char);
      isEscaped = false;
    } else if (char === "\\" && state.quote !== "'") isEscaped = true;
    else if (/[ \t\r\n]/.test(char) && state.quote === "") end();
    else if (/[;&|<>]/.test(char) && state.quote === "") {
      // `2>file` is a redirection of its own, with the number before it.
      if (char === ">" && /^\d/.test(state.word)) state.isWord = false;
      break;
    } else if (!quoting(char, state)) {
      if (char === "(" && state.quote === "" && !state.word.endsWith("$")) return undefined;
      add(char);
    }
  }
  if (state.quote !== "" || isEscaped) return undefined;
  end();
  return words;
}

interface State {
  word: string;
  isWord: boolean;
  quote: string;
}

/** Opens and closes quotes; true when the character is no part of the word. */
function quoting(char: string, state: State): boolean {
  const isOpen = state.quote !== "";
  if (char === '"' || char === "'") {
    if (isOpen && state.quote !== char) return state.quote === "`";
    state.quote = isOpen ? "" : char;
    if (isOpen) state.isWord = true;
    return true;
  }
  if (char === "`" && (!isOpen || state.quote === "`")) state.quote = isOpen ? "" : "`";
  else if (char === "(" && !isOpen && state.word.endsWith("$")) {
    state.quote = ")";
    state.word += "(";
    return true;
  } else if (char === ")" && state.quote === ")") state.quote = "";
  return false;
}
