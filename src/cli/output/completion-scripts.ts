/**
 * Scripts that teach a shell to complete gantry's command lines. All they know is how to ask `gantry __complete`, whose
 * lines are `word<TAB>help`, or `:files`.
 */
export const completionScripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for gantry. Load it with:  source <(gantry completion bash)
_gantry() {
  local line word head all reply=() files=0
  # bash cuts words at colons and equals signs, which names of images are full of: cut the line at blanks instead.
  line=\${COMP_LINE:0:COMP_POINT}
  read -ra all <<<"$line"
  [[ $line == *[[:space:]] ]] && all+=("")
  word=\${all[\${#all[@]} - 1]}
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; else reply+=("\${line%%$'\\t'*}"); fi
  done < <("\${all[0]}" __complete -- "\${all[@]:1}" 2>/dev/null)
  head=\${word%"\${word##*[:=]}"}
  COMPREPLY=("\${reply[@]#"$head"}")
  if ((files)); then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${word##*[:=]}")
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _gantry gantry
`,
  zsh: `#compdef gantry
# zsh completion for gantry. Load it with:  source <(gantry completion zsh)
_gantry() {
  local line value files=0
  local -a described
  for line in "\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) files=1 ;;
      *$'\\t'*)
        value=\${line%%$'\\t'*}
        described+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
        ;;
      *) described+=("\${line//:/\\\\:}") ;;
    esac
  done
  ((\${#described})) && _describe gantry described
  ((files)) && _files
  return 0
}
compdef _gantry gantry
`,
  fish: `# fish completion for gantry. Load it with:  gantry completion fish | source
function __gantry_complete
    set -l line (commandline -opc)
    set -l current (commandline -ct)
    for candidate in ($line[1] __complete -- $line[2..-1] "$current" 2>/dev/null)
        if test "$candidate" = ":files"
            __fish_complete_path "$current"
        else
            echo $candidate
        end
    end
end
complete -c gantry -f -a '(__gantry_complete)'
`,
};
